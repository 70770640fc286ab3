/** Lets one loop sleep until somebody has news for it. */
export interface News {
  /** Ends the wait under way, or the next one. */
  tell(): void;
  /** One waiter at a time. `maxMs`: how long it waits at most. */
  wait(maxMs?: number): Promise<void>;
}

export function createNews(): News {
  let isTold = false;
  let settle: (() => void) | null = null;
  return {
    tell() {
      isTold = true;
      settle?.();
    },
    async wait(maxMs) {
      if (!isTold) {
        await new Promise<void>((resolve) => {
          const timer = maxMs === undefined ? undefined : setTimeout(resolve, maxMs);
          settle = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      settle = null;
      isTold = false;
    },
  };
}
