/** Keeps entries of the log until they are in the tables, as far as its limits allow. Used by the composition root. */
import { LIMITS } from './base/index.ts';
import type { RetainedLog } from './log/index.ts';
import type { Engine } from './materialize/index.ts';

const NAME = 'tables';

export interface TablesHold {
  /** Begins to follow the engine; resolves when it has said for the first time where the tables are, or that it cannot. */
  follow(engine: Pick<Engine, 'status'>): Promise<void>;
  stop(): void;
}

/**
 * Claims all entries until the engine says how far the tables are: a start must not delete what they lack. From then on the limit of
 * bytes and the disk's reserve pass the tables over: a log that cannot take entries is worse than rows that are missing.
 */
export function createTablesHold(log: Pick<RetainedLog, 'hold'>): TablesHold {
  let hold = log.hold(NAME, { offset: 0n, policy: 'hold' });
  let timer: NodeJS.Timeout | null = null;
  let isStopped = false;

  const ask = async (engine: Pick<Engine, 'status'>): Promise<bigint | null> => {
    try {
      return (await engine.status()).neededOffset;
    } catch {
      // A dead engine starts again where it was.
      return null;
    }
  };
  const askLater = (engine: Pick<Engine, 'status'>): void => {
    if (isStopped) return;
    timer = setTimeout(() => {
      void ask(engine).then((offset) => {
        if (offset !== null) hold.advance(offset);
        askLater(engine);
      });
    }, LIMITS.tablesHoldIntervalMs).unref();
  };

  return {
    async follow(engine) {
      const offset = await ask(engine);
      hold = log.hold(NAME, { offset: offset ?? 0n, policy: 'drop', ask: () => ask(engine) });
      askLater(engine);
    },
    stop() {
      isStopped = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
}
