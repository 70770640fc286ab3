/** Lets somebody else have a loop stand still between two transactions, at an offset that two loops have agreed on. */
import { createWake } from '../base/index.ts';

export interface LoopHold {
  /** Whether the loop must stand when what comes next is at `offset`. */
  isDue(offset: bigint): boolean;
  /** Where it must stand, when it is at `position`. */
  offset(position: bigint): bigint;
  /** The loop's side: stands at `position`, everything below it committed, until it is released or is to go on to a later offset. */
  stand(position: bigint): Promise<void>;
  /**
   * The other side: resolves with where the loop stands: in front of the first entry at or behind `at`; with null when it has ended, or is
   * released before.
   */
  hold(at: bigint): Promise<bigint | null>;
  release(): void;
  /** The loop ends. */
  end(): void;
}

/** Nobody holds it. */
export function createLoopHold(): LoopHold {
  const changed = createWake();
  let heldAt: bigint | null = null;
  let reached: (position: bigint | null) => void = () => {};
  let hasEnded = false;

  return {
    isDue: (offset) => heldAt !== null && offset >= heldAt,
    offset: (position) => heldAt ?? position,
    async stand(position) {
      while (heldAt !== null && position >= heldAt) {
        reached(position);
        await changed.wait();
      }
    },
    hold(at) {
      if (hasEnded) return Promise.resolve(null);
      reached(null);
      heldAt = at;
      return new Promise((resolve) => {
        reached = resolve;
        changed.wake();
      });
    },
    release() {
      heldAt = null;
      // Who still waits for it to stand would wait for ever.
      reached(null);
      changed.wake();
    },
    end() {
      hasEnded = true;
      heldAt = null;
      reached(null);
      changed.wake();
    },
  };
}
