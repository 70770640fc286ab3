/** The thread's questions to the store, which the main thread passes on to the engine. */
import PQueue from 'p-queue';
import { LIMITS, TreasuryError } from '../../base/index.ts';
import type { SqlAnswer, SqlRequest } from '../../materialize/index.ts';
import { type ChunkQueue, createChunkQueue } from '../pull/chunk-queue.ts';
import type { StoreQuestion, StoreReply } from './types.ts';

export interface StoreAsks {
  /** As the engine's `sql`. */
  ask(request: SqlRequest, signal: AbortSignal): Promise<Pick<SqlAnswer, 'chunks'>>;
  receive(reply: StoreReply): void;
  /** What the tables of metrics lacked when they were last asked, null: nothing. */
  lacking(): string | null;
}

/** For the views of one thread. */
export function createStoreAsks(post: (question: StoreQuestion) => void): StoreAsks {
  const answers = new Map<number, ChunkQueue>();
  // The engine queues questions of everybody: one thread must not fill that queue.
  const places = new PQueue({ concurrency: LIMITS.prometheusAsksMax });
  let lastId = 0;
  let lacking: string | null = null;

  function begin(request: SqlRequest, signal: AbortSignal, over: () => void): ChunkQueue {
    const id = ++lastId;
    const cancel = () => {
      if (!answers.delete(id)) return;
      post({ type: 'store-cancel', id });
      queue.fail(new TreasuryError('TREASURY_QUERY_CANCELLED', 'The query was cancelled'));
      over();
    };
    const settled = () => {
      signal.removeEventListener('abort', cancel);
      over();
    };
    const inner = createChunkQueue((bytes) => post({ type: 'store-credit', id, bytes }), cancel);
    const queue: ChunkQueue = {
      ...inner,
      end() {
        inner.end();
        settled();
      },
      fail(error) {
        inner.fail(error);
        settled();
      },
    };
    answers.set(id, queue);
    signal.addEventListener('abort', cancel, { once: true });
    post({ type: 'store-ask', id, request });
    return queue;
  }

  return {
    ask(request, signal) {
      return new Promise((resolve, reject) => {
        void places.add(
          () =>
            new Promise<void>((over) => {
              if (signal.aborted) {
                reject(signal.reason as Error);
                return over();
              }
              const { ready, chunks } = begin(request, signal, over);
              ready.then(() => resolve({ chunks }), reject);
            }),
        );
      });
    },
    lacking: () => lacking,
    receive(reply) {
      if (reply.type === 'store-lacks') {
        ({ lacking } = reply);
        return undefined;
      }
      const queue = answers.get(reply.id);
      if (reply.type === 'store-chunk') return queue?.push(reply.bytes);
      answers.delete(reply.id);
      if (reply.type === 'store-end') queue?.end();
      else queue?.fail(TreasuryError.fromJSON(reply.error));
    },
  };
}
