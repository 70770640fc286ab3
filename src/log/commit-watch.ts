/** How long group commits take: whether the disk is slow, or takes nothing. No I/O. */
import { type Clock, LIMITS, type Logger } from '../base/index.ts';

/** What the disk is like, by the commits. */
export class CommitWatch {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #waitMaxMs: number;
  #begunAtMs: number | null = null;
  #lastMs = 0;
  #lastEndedAtMs = Number.NEGATIVE_INFINITY;
  #hasTakenSince = false;

  /** Commits that take as long as `waitMaxMs` are too slow to take entries. */
  constructor(options: { clock: Clock; logger: Logger; waitMaxMs: number }) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#waitMaxMs = options.waitMaxMs;
  }

  /** Why the disk is slow, as far as the commit under way and the one before say, or null. */
  get slow(): string | null {
    const runningMs = this.#runningMs();
    if (runningMs >= LIMITS.slowCommitMs) return `The disk is slow: a commit has been under way for ${runningMs} ms`;
    const isRecent = this.#clock.monotonicMs() - this.#lastEndedAtMs < LIMITS.slowCommitShownMs;
    const isSlow = this.#lastMs >= LIMITS.slowCommitMs && (isRecent || this.isStalled);
    return isSlow ? `The disk is slow: the last commit took ${this.#lastMs} ms` : null;
  }

  /** Whether the commit under way, or else the last one, takes longer than entries may wait. */
  get isStalled(): boolean {
    const lastMs = this.#hasTakenSince ? 0 : this.#lastMs;
    return Math.max(this.#runningMs(), lastMs) >= this.#waitMaxMs;
  }

  /** Times one commit; there is one at a time. */
  async run(commit: () => Promise<void>): Promise<void> {
    const wasSlow = this.#lastMs >= LIMITS.slowCommitMs;
    this.#begunAtMs = this.#clock.monotonicMs();
    await commit();
    this.#lastMs = this.#runningMs();
    this.#lastEndedAtMs = this.#clock.monotonicMs();
    this.#begunAtMs = null;
    this.#hasTakenSince = false;
    const isSlow = this.#lastMs >= LIMITS.slowCommitMs;
    if (isSlow && !wasSlow) this.#logger.warn('The disk is slow', { commitMs: this.#lastMs });
    else if (wasSlow && !isSlow) this.#logger.info('The disk is quick again', { commitMs: this.#lastMs });
  }

  /** The disk took a trial, so it may take entries again though the last commit was too slow. */
  taken(): void {
    this.#hasTakenSince = true;
  }

  #runningMs(): number {
    return this.#begunAtMs === null ? 0 : Math.round(this.#clock.monotonicMs() - this.#begunAtMs);
  }
}
