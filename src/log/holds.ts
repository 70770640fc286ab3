/** Consumers of the log that still need entries: retention asks here before it deletes a segment. */
import { LIMITS } from '../base/index.ts';
import type { HoldOptions, HoldStatus, LogHold } from './types.ts';

interface Hold {
  readonly name: string;
  readonly policy: HoldOptions['policy'];
  readonly ask: HoldOptions['ask'];
  offset: bigint;
  /** Entries below were deleted before the consumer had them. */
  passedTo: bigint;
  passedEntries: bigint;
}

/** The holds of one log, by name. */
export class Holds {
  readonly #holds = new Map<string, Hold>();

  /** A new hold; one of the same name that was not released is replaced. */
  take(name: string, { offset, policy, ask }: HoldOptions): LogHold {
    const hold: Hold = { name, policy, ask, offset, passedTo: 0n, passedEntries: 0n };
    this.#holds.set(name, hold);
    return {
      advance(next) {
        hold.offset = next;
      },
      release: () => {
        if (this.#holds.get(name) === hold) this.#holds.delete(name);
      },
    };
  }

  /** Whether a consumer needs entries below `end`: any (for a deletion by age), or one that is not to be passed over. */
  needs(end: bigint, policies: 'any' | 'hold'): boolean {
    for (const { offset, policy } of this.#holds.values()) {
      if (offset < end && (policies === 'any' || policy === 'hold')) return true;
    }
    return false;
  }

  /** Asks those that have not read all below `end` where they are now; resolves after a bounded time. */
  async catchUp(end: bigint): Promise<void> {
    const late = [...this.#holds.values()].filter(({ offset }) => offset < end);
    await Promise.all(late.map(askNow));
  }

  /** Notes that entries are gone; returns the names of those that had not read them. */
  deleted(from: bigint, to: bigint): string[] {
    const passed: string[] = [];
    for (const hold of this.#holds.values()) {
      if (hold.offset >= to) continue;
      const start = [hold.offset, hold.passedTo].reduce((a, b) => (a > b ? a : b), from);
      if (start >= to) continue;
      hold.passedEntries += to - start;
      hold.passedTo = to;
      passed.push(hold.name);
    }
    return passed;
  }

  status(): HoldStatus[] {
    return [...this.#holds.values()].map(({ name, policy, offset, passedEntries }) => ({
      name,
      policy,
      offset,
      passedEntries,
    }));
  }
}

async function askNow(hold: Hold): Promise<void> {
  if (hold.ask === undefined) return;
  const answer = hold.ask().catch(() => null);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), LIMITS.holdAnswerMaxMs);
  });
  const offset = await Promise.race([answer, late]);
  clearTimeout(timer);
  if (offset !== null) hold.offset = offset;
}
