/** Lets one loop sleep until somebody has news for it. */
export interface Wake {
  /** Ends the wait in progress, or the next one. */
  wake(): void;
  /** Settles at the next `wake()`, or after `timeoutMs` (a time that is over is none left); at once when there was a `wake()` since the last wait. One waiter at a time. */
  wait(timeoutMs?: number): Promise<void>;
}

export function createWake(): Wake {
  let woken = false;
  let settle: (() => void) | null = null;
  return {
    wake() {
      woken = true;
      settle?.();
    },
    async wait(timeoutMs) {
      if (!woken) {
        await new Promise<void>((resolve) => {
          // Newer versions of Node warn of negative times, in a line of their own among those of the log.
          const timer = timeoutMs === undefined ? undefined : setTimeout(resolve, Math.max(0, timeoutMs));
          settle = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      settle = null;
      woken = false;
    },
  };
}
