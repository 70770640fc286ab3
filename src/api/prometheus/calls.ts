/** Requests in the thread: admission, answers held back by credit, time limits, cancellation. */
import { performance } from 'node:perf_hooks';
import PQueue from 'p-queue';
import { createWake, LIMITS, type Wake } from '../../base/index.ts';
import type { MetricsView } from '../query/prometheus/metrics-view.ts';
import { writeAnswer } from './answers.ts';
import { failureOf, RequestFailure } from './failure.ts';
import { JsonOutput } from './json-output.ts';
import type { PrometheusEvent, PrometheusRequest, PrometheusSettings, ThreadLimits } from './types.ts';

export interface Calls {
  /** Never throws: what goes wrong is posted as the call's failure. */
  start(id: number, request: PrometheusRequest): void;
  credit(id: number, bytes: number): void;
  cancel(id: number): void;
}

export interface CallsOptions {
  readonly view: MetricsView;
  /** What the store lacks now, null: nothing. */
  readonly lacking: () => string | null;
  readonly settings: PrometheusSettings;
  readonly limits: ThreadLimits;
  readonly post: (event: PrometheusEvent, transfer?: readonly ArrayBuffer[]) => void;
}

interface Call {
  readonly abort: AbortController;
  readonly wake: Wake;
  readonly arrivedMs: number;
  /** Posted and not yet taken by the client. */
  bufferedBytes: number;
  isBegun: boolean;
  /** Of the time limit, which ends with the first byte: how fast an answer is read is not the query's doing. */
  timer: NodeJS.Timeout | undefined;
}

export function createCalls({ view, lacking, settings, limits, post }: CallsOptions): Calls {
  const calls = new Map<number, Call>();
  const queue = new PQueue({ concurrency: limits.concurrencyMax });

  function fail(id: number, error: unknown): void {
    if (!calls.delete(id)) return;
    const { detail, ...failure } = failureOf(error);
    post({ type: 'failure', id, failure, ...(detail === undefined ? {} : { detail }) });
  }

  async function execute(id: number, call: Call, request: PrometheusRequest): Promise<void> {
    const { signal } = call.abort;
    if (signal.aborted) return;
    call.isBegun = true;
    let workedSinceMs = performance.now();
    const begunMs = workedSinceMs;
    const output = new JsonOutput(async (bytes) => {
      signal.throwIfAborted();
      clearTimeout(call.timer);
      call.bufferedBytes += bytes.byteLength;
      post({ type: 'chunk', id, bytes }, [bytes.buffer]);
      if (performance.now() - workedSinceMs >= LIMITS.promqlSliceMs) {
        await turn();
        workedSinceMs = performance.now();
      }
      while (call.bufferedBytes >= limits.bufferedBytesMax && !signal.aborted) await call.wake.wait();
      signal.throwIfAborted();
    });
    try {
      await writeAnswer(output, request, { view, lacking, settings, signal, arrivedMs: call.arrivedMs, begunMs });
      await output.flush();
      if (calls.delete(id)) post({ type: 'end', id });
    } catch (error) {
      fail(id, signal.aborted ? signal.reason : error);
    } finally {
      // What was asked of the store and not read to its end.
      call.abort.abort(ENDED);
    }
  }

  /** The answer goes out at once, whatever the work on it is doing. */
  function end(id: number, type: 'timeout' | 'canceled'): void {
    const call = calls.get(id);
    if (call === undefined) return;
    const place = call.isBegun ? 'expression evaluation' : 'query queue';
    const reason = new RequestFailure(
      type,
      type === 'timeout' ? `query timed out in ${place}` : `query was canceled in ${place}`,
    );
    call.abort.abort(reason);
    call.wake.wake();
    fail(id, reason);
  }

  return {
    start(id, request) {
      const call: Call = {
        abort: new AbortController(),
        wake: createWake(),
        arrivedMs: performance.now(),
        bufferedBytes: 0,
        isBegun: false,
        timer: undefined,
      };
      calls.set(id, call);
      if (calls.size > limits.concurrencyMax + limits.queueMax) return fail(id, busy(limits.queueMax));
      const timeoutMs = timeoutOf(request, settings);
      if (timeoutMs <= 0) return end(id, 'timeout');
      call.timer = setTimeout(() => end(id, 'timeout'), timeoutMs);
      call.abort.signal.addEventListener('abort', () => clearTimeout(call.timer), { once: true });
      void queue.add(() => execute(id, call, request));
    },
    credit(id, bytes) {
      const call = calls.get(id);
      if (call === undefined) return;
      call.bufferedBytes -= bytes;
      call.wake.wake();
    },
    cancel(id) {
      end(id, 'canceled');
    },
  };
}

const ENDED = new RequestFailure('canceled', 'query was canceled in query execution');

/** How long a request may take, whatever it asks for. */
function timeoutOf(request: PrometheusRequest, { queryTimeoutMs }: PrometheusSettings): number {
  const wantedMs = request.kind === 'query' ? Math.min(request.timeoutMs, queryTimeoutMs) : queryTimeoutMs;
  return Math.max(0, wantedMs);
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function busy(queueMax: number): RequestFailure {
  return new RequestFailure('unavailable', `Cannot queue the query: ${queueMax} are waiting`);
}
