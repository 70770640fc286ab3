/** Passes questions of the thread of the Prometheus API to the engine, and the answers back, no faster than they are taken. */
import { createWake, LIMITS, serializedStoreError, transferableBytes, type Wake } from '../../base/index.ts';
import type { Engine, IncompleteTables, SqlRequest } from '../../materialize/index.ts';
import type { StoreQuestion, StoreReply } from './types.ts';

export interface StorePassage {
  receive(question: StoreQuestion): void;
  /** What the tables of metrics lacked when they were last asked. */
  incomplete(): readonly IncompleteTables[];
  /** Cancels all. */
  end(): void;
}

interface Passing {
  readonly abort: AbortController;
  readonly wake: Wake;
  bufferedBytes: number;
}

/** For one thread; `post` reaches it. */
export function passToStore(
  engine: Pick<Engine, 'sql'>,
  post: (reply: StoreReply, transfer: readonly ArrayBuffer[]) => void,
): StorePassage {
  const running = new Map<number, Passing>();
  let lacking: readonly IncompleteTables[] = [];

  async function pass(id: number, request: SqlRequest, { abort, wake }: Passing): Promise<void> {
    const { signal } = abort;
    try {
      const { chunks, incomplete = [] } = await engine.sql(request, signal);
      lacking = incomplete.filter(({ projection }) => projection === 'metrics');
      if (!signal.aborted) post({ type: 'store-lacks', id, lacking: warningOf(lacking) }, []);
      for await (const chunk of chunks) {
        const passing = running.get(id);
        if (passing === undefined) return;
        const bytes = transferableBytes(chunk);
        passing.bufferedBytes += bytes.byteLength;
        post({ type: 'store-chunk', id, bytes }, [bytes.buffer]);
        while (passing.bufferedBytes >= LIMITS.answerBufferedBytesMax && !signal.aborted) await wake.wait();
        if (signal.aborted) return;
      }
      post({ type: 'store-end', id }, []);
    } catch (error) {
      if (!signal.aborted) post({ type: 'store-error', id, error: serializedStoreError(error) }, []);
    } finally {
      running.delete(id);
    }
  }

  function cancel(id: number): void {
    const passing = running.get(id);
    running.delete(id);
    passing?.abort.abort();
    passing?.wake.wake();
  }

  return {
    receive(question) {
      if (question.type === 'store-cancel') return cancel(question.id);
      if (question.type === 'store-ask') {
        const passing = { abort: new AbortController(), wake: createWake(), bufferedBytes: 0 };
        running.set(question.id, passing);
        void pass(question.id, question.request, passing);
        return undefined;
      }
      const passing = running.get(question.id);
      if (passing === undefined) return undefined;
      passing.bufferedBytes -= question.bytes;
      return passing.wake.wake();
    },
    incomplete: () => lacking,
    end() {
      for (const id of running.keys()) cancel(id);
    },
  };
}

function warningOf([metrics]: readonly IncompleteTables[]): string | null {
  if (metrics === undefined) return null;
  const { from, to, of } = metrics;
  return `the tables of metrics are being built from the log: they have entries ${from} to ${to} of ${of}`;
}
