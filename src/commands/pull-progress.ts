/** How far a pull is, against where the server's log ends. */
import { LIMITS } from '../base/index.ts';
import { createProgress } from './progress.ts';

export interface PullProgress {
  /** `from`: where the pull began; `next`: everything below is there. */
  at(from: bigint, next: bigint): void;
  end(): void;
}

/** Asks the server now and then how far it is; without an answer the last one stands. */
export function createPullProgress(server: string): PullProgress {
  const progress = createProgress({ verb: 'Pulled', amountText: (amount) => `${amount} entries` });
  let begin: bigint | null = null;
  let durable = 0n;
  const ask = async (): Promise<void> => {
    try {
      const answer = await fetch(`${server}/treasury/v1/status`, {
        signal: AbortSignal.timeout(LIMITS.pullStatusIntervalMs),
      });
      durable = BigInt(((await answer.json()) as { durableOffset: number | string }).durableOffset);
    } catch {
      // The pull itself tells when the server is gone.
    }
  };
  void ask();
  const timer = setInterval(() => void ask(), LIMITS.pullStatusIntervalMs).unref();
  return {
    at(from, next) {
      begin ??= from;
      const end = durable > next ? durable : next;
      progress.at(Number(next - begin), Number(end - begin), `offset ${next}`);
    },
    end() {
      clearInterval(timer);
      progress.end();
    },
  };
}
