/** Progress of long work on stderr: one line that changes on a terminal, lines at intervals otherwise. */
import { durationText } from './quantity-text.ts';

export interface ProgressOptions {
  /** What is done, such as `Verified`. */
  readonly verb: string;
  /** How amounts are written, such as bytes. */
  readonly amountText: (amount: number) => string;
  readonly isTerminal?: boolean;
  readonly write?: (text: string) => void;
  readonly nowMs?: () => number;
}

export interface Progress {
  /** Says where the work is; writes only when it is time to. `place` is a position in words. */
  at(done: number, total: number, place: string): void;
  /** Makes room for other output on the terminal. */
  clear(): void;
  /** Writes where the work has ended, whatever the interval. */
  end(): void;
}

/** Often enough to look alive. */
const TERMINAL_INTERVAL_MS = 200;
/** Seldom enough for a log file. */
const LINE_INTERVAL_MS = 5_000;
const CLEAR_LINE = '\r\u{1b}[K';

/** Begins to measure. */
export function createProgress(options: ProgressOptions): Progress {
  const { verb, amountText } = options;
  const isTerminal = options.isTerminal ?? process.stderr.isTTY === true;
  const write = options.write ?? ((text: string) => void process.stderr.write(text));
  const nowMs = options.nowMs ?? (() => performance.now());
  const intervalMs = isTerminal ? TERMINAL_INTERVAL_MS : LINE_INTERVAL_MS;
  const startedMs = nowMs();
  let writtenMs = startedMs;
  let first: number | null = null;
  let latest: { done: number; total: number; place: string } | null = null;

  function line(): string {
    const { done, total, place } = latest!;
    const elapsedMs = nowMs() - startedMs;
    const perMs = elapsedMs > 0 ? (done - first!) / elapsedMs : 0;
    const percent = total > 0 ? Math.floor((100 * done) / total) : 100;
    const rate = `${amountText(Math.round(perMs * 1000))}/s`;
    const rest = done < total && perMs > 0 ? `, about ${durationText((total - done) / perMs)} left` : '';
    return `${verb} ${amountText(done)} of ${amountText(total)} (${percent} %), ${place}, ${rate}${rest}`;
  }

  return {
    at(done, total, place) {
      // Work that goes on where it once ended has not done that part now.
      first ??= done;
      latest = { done, total, place };
      if (nowMs() - writtenMs < intervalMs) return;
      writtenMs = nowMs();
      write(isTerminal ? `${CLEAR_LINE}${line()}` : `${line()}\n`);
    },
    clear() {
      if (isTerminal) write(CLEAR_LINE);
    },
    end() {
      if (latest === null) return;
      write(isTerminal ? `${CLEAR_LINE}${line()}\n` : `${line()}\n`);
      latest = null;
    },
  };
}
