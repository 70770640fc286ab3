/** The main thread's end of one SQL answer: chunks come from the engine's thread, credit and cancellation go back. */
import type { TreasuryError } from '../base/index.ts';
import type { IncompleteTables, SqlAnswer } from './types.ts';
import { createWake } from '../base/index.ts';

export interface IncomingAnswer {
  /** Resolves when the first bytes are there (or the empty answer has ended), rejects when the query failed before. */
  readonly ready: Promise<SqlAnswer>;
  push(chunk: Uint8Array): void;
  /** What the tables lack. Before the first chunk. */
  lacks(incomplete: readonly IncompleteTables[]): void;
  end(): void;
  /** Chunks that came before are still read, unless `atOnce`. Later calls change nothing. */
  fail(error: TreasuryError, atOnce?: boolean): void;
}

/** `onTaken` is told the bytes of each chunk as it is read; `onAbandoned` is called when the reader leaves before the end. */
export function createIncomingAnswer(onTaken: (bytes: number) => void, onAbandoned: () => void): IncomingAnswer {
  const wake = createWake();
  let chunks: Uint8Array[] = [];
  let ended = false;
  let failure: TreasuryError | null = null;
  let settleReady: { resolve: (answer: SqlAnswer) => void; reject: (error: TreasuryError) => void };
  const ready = new Promise<SqlAnswer>((resolve, reject) => {
    settleReady = { resolve, reject };
  });

  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = chunks.shift();
        if (chunk !== undefined) {
          onTaken(chunk.byteLength);
          yield chunk;
        } else if (failure !== null) {
          throw failure;
        } else if (ended) {
          return;
        } else {
          await wake.wait();
        }
      }
    } finally {
      if (!ended && failure === null) onAbandoned();
    }
  }

  let incomplete: readonly IncompleteTables[] = [];
  const answer: SqlAnswer = {
    chunks: read(),
    get incomplete() {
      return incomplete;
    },
  };
  return {
    ready,
    push(chunk) {
      chunks.push(chunk);
      settleReady.resolve(answer);
      wake.wake();
    },
    lacks(tables) {
      incomplete = tables;
    },
    end() {
      ended = true;
      settleReady.resolve(answer);
      wake.wake();
    },
    fail(error, atOnce = false) {
      if (ended || failure !== null) return;
      failure = error;
      if (atOnce) chunks = [];
      settleReady.reject(error);
      wake.wake();
    },
  };
}
