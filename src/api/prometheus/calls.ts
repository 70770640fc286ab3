/** Requests in the thread: admission, answers held back by credit, time limits, cancellation. */
import { performance } from 'node:perf_hooks';
import { LIMITS } from '../../base/index.ts';
import type { MetricsView } from '../query/prometheus/metrics-view.ts';
import { MemoryBudget } from '../query/promql/memory-budget.ts';
import { writeAnswer } from './answers.ts';
import { failureOf, RequestFailure } from './failure.ts';
import { JsonOutput } from './json-output.ts';
import { KeptLists } from './kept-lists.ts';
import { createOutflow } from './outflow.ts';
import { createPlaces, type Place } from './places.ts';
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
  /** Told how many requests are worked on and how many wait. */
  readonly onLoad: (running: number, waiting: number) => void;
  readonly post: (event: PrometheusEvent, transfer?: readonly ArrayBuffer[]) => void;
}

interface Call {
  readonly request: PrometheusRequest;
  readonly abort: AbortController;
  readonly arrivedMs: number;
  place: Place | undefined;
  state: 'waiting' | 'working' | 'writing';
  /** Of the time limit. */
  timer: NodeJS.Timeout | undefined;
}

export function createCalls({ view, lacking, settings, limits, onLoad, post }: CallsOptions): Calls {
  const calls = new Map<number, Call>();
  const places = createPlaces({ ...limits, onLoad });
  const outflow = createOutflow(limits);
  const lists = new KeptLists(LIMITS.prometheusKeptListsBytesMax);
  const memory = new MemoryBudget(LIMITS.prometheusMemoryBytesMax);

  function fail(id: number, error: unknown): void {
    if (!calls.delete(id)) return;
    const { detail, ...failure } = failureOf(error);
    post({ type: 'failure', id, failure, ...(detail === undefined ? {} : { detail }) });
  }

  async function execute(id: number, call: Call): Promise<void> {
    const { request, arrivedMs } = call;
    const { signal } = call.abort;
    if (signal.aborted) return;
    call.state = 'working';
    let workedSinceMs = performance.now();
    const begunMs = workedSinceMs;
    const output = new JsonOutput(async (bytes) => {
      signal.throwIfAborted();
      // Counted at once: it may be taken while this waits for its turn.
      const goOn = outflow.sent(id, bytes.byteLength, signal);
      post({ type: 'chunk', id, bytes }, [bytes.buffer]);
      if (performance.now() - workedSinceMs >= LIMITS.promqlSliceMs) {
        await turn();
        workedSinceMs = performance.now();
      }
      await goOn;
      signal.throwIfAborted();
    });
    const found = (bytes: number) => beginWriting(id, call, bytes);
    try {
      await writeAnswer(output, request, { view, lacking, settings, signal, lists, memory, arrivedMs, begunMs, found });
      await output.flush();
      if (calls.delete(id)) post({ type: 'end', id });
    } catch (error) {
      fail(id, signal.aborted ? signal.reason : error);
    } finally {
      // What was asked of the store and not read to its end.
      call.abort.abort(ENDED);
      call.place?.end();
    }
  }

  /** How fast an answer is read is not the query's doing, unless nobody else gets a place for it. */
  function beginWriting(id: number, call: Call, bytes: number): void {
    call.state = 'writing';
    clearTimeout(call.timer);
    call.place?.leave(bytes);
    if (call.place?.isKept === true && !call.abort.signal.aborted)
      call.timer = setInterval(() => {
        if (places.waiting > 0 && call.place?.isKept === true) end(id, 'timeout');
      }, limits.unreadMaxMs);
  }

  /** The answer goes out at once, whatever the work on it is doing. */
  function end(id: number, type: 'timeout' | 'canceled'): void {
    const call = calls.get(id);
    if (call === undefined) return;
    const where = PLACES_OF_STATES[call.state];
    const reason = new RequestFailure(
      type,
      type === 'timeout' ? `query timed out in ${where}` : `query was canceled in ${where}`,
    );
    call.abort.abort(reason);
    fail(id, reason);
    // Work keeps its place until it lets go of it.
    if (call.state === 'waiting') call.place?.end();
  }

  return {
    start(id, request) {
      const call: Call = {
        request,
        abort: new AbortController(),
        arrivedMs: performance.now(),
        place: undefined,
        state: 'waiting',
        timer: undefined,
      };
      calls.set(id, call);
      const timeoutMs = timeoutOf(request, settings);
      if (timeoutMs <= 0) return end(id, 'timeout');
      call.place = places.take(() => queueMicrotask(() => void execute(id, call)));
      if (call.place === undefined) return fail(id, busy(limits.queueMax));
      call.timer = setTimeout(() => end(id, 'timeout'), timeoutMs);
      call.abort.signal.addEventListener('abort', () => clearTimeout(call.timer), { once: true });
    },
    credit(id, bytes) {
      outflow.taken(id, bytes);
    },
    cancel(id) {
      end(id, 'canceled');
    },
  };
}

const ENDED = new RequestFailure('canceled', 'query was canceled in query execution');

/** In upstream's words. */
const PLACES_OF_STATES: Readonly<Record<Call['state'], string>> = {
  waiting: 'query queue',
  working: 'expression evaluation',
  writing: 'query execution',
};

/** How long a request may take, whatever it asks for. */
function timeoutOf(request: PrometheusRequest, { queryTimeoutMs }: PrometheusSettings): number {
  return request.kind === 'query' ? Math.min(request.timeoutMs, queryTimeoutMs) : queryTimeoutMs;
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function busy(queueMax: number): RequestFailure {
  return new RequestFailure('unavailable', `Cannot queue the query: ${queueMax} are waiting`);
}
