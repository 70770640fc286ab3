/** Chunks that come from another thread, for one reader that tells what it took. */
import type { TreasuryError } from '../../base/index.ts';

export interface ChunkQueue<Failure extends Error = TreasuryError> {
  /** Resolves when the first chunk is there or the end, rejects when it failed before. */
  readonly ready: Promise<void>;
  /** For one reader. Throws what it failed with, behind the chunks that came before. */
  readonly chunks: AsyncIterable<Uint8Array>;
  push(chunk: Uint8Array): void;
  end(): void;
  fail(error: Failure): void;
}

/** `onTaken` is told the bytes of each chunk as it is read; `onAbandoned` when the reader leaves before the end. */
export function createChunkQueue<Failure extends Error = TreasuryError>(
  onTaken: (bytes: number) => void,
  onAbandoned: () => void,
): ChunkQueue<Failure> {
  const waiting: Uint8Array[] = [];
  let isEnded = false;
  let failure: Failure | null = null;
  let wake: (() => void) | null = null;
  let settle!: { resolve: () => void; reject: (error: Failure) => void };
  const ready = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  ready.catch(() => {});

  function signal(): void {
    wake?.();
    wake = null;
  }

  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = waiting.shift();
        if (chunk !== undefined) {
          onTaken(chunk.length);
          yield chunk;
        } else if (failure !== null) {
          throw failure;
        } else if (isEnded) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      if (!isEnded && failure === null) onAbandoned();
    }
  }

  return {
    ready,
    chunks: read(),
    push(chunk) {
      waiting.push(chunk);
      settle.resolve();
      signal();
    },
    end() {
      isEnded = true;
      settle.resolve();
      signal();
    },
    fail(error) {
      if (isEnded || failure !== null) return;
      failure = error;
      settle.reject(error);
      signal();
    },
  };
}
