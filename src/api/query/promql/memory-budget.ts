import { LIMITS } from '../../../base/index.ts';
import { tooManySamples } from './promql-errors.ts';

/** So long without an answer, a question to the store counts as held up by those who read theirs and wait for memory: twenty heavy queries at once keep the thread for seconds. */
const PATIENCE_MS = 10_000;

/**
 * Memory that all evaluations of a process may take together, in bytes as they estimate them. One that finds none left waits for others to end; where all others wait,
 * too, it fails, so that those go on. Who waits is in the midst of an answer of the store, which gives few at a time: who asks the store waits for it, then.
 */
export class MemoryBudget {
  readonly #bytesMax: number;
  readonly #patienceMs: number;
  readonly #leases = new Set<MemoryLease>();
  #usedBytes = 0;
  /** Of leases that wait: to be called when it may be worth looking again. */
  #wakes: (() => void)[] = [];

  constructor(bytesMax: number, patienceMs: number = PATIENCE_MS) {
    this.#bytesMax = bytesMax;
    this.#patienceMs = patienceMs;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** For one evaluation, which must close it. */
  open(): MemoryLease {
    const lease: MemoryLease = new MemoryLease({
      tryTake: (bytes) => this.#tryTake(bytes),
      giveBack: (bytes) => this.#giveBack(bytes),
      change: (signal) => this.#change(lease, signal),
      patienceMs: this.#patienceMs,
      heldUp: () => this.#wake(),
      close: () => {
        this.#leases.delete(lease);
        this.#wake();
      },
    });
    this.#leases.add(lease);
    return lease;
  }

  #tryTake(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#bytesMax) return false;
    this.#usedBytes += bytes;
    return true;
  }

  #giveBack(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#wake();
  }

  /** Settles when memory was given back. Throws when no other could give any back. */
  async #change(lease: MemoryLease, signal: AbortSignal): Promise<void> {
    const leases = [...this.#leases];
    const isStoreFree = leases.filter(({ isWaiting }) => isWaiting).length < LIMITS.sqlConcurrencyMax;
    const mayEnd = leases.some(
      (other) => other !== lease && !other.isWaiting && other.bytes > 0 && (isStoreFree || !other.isHeldUp),
    );
    if (!mayEnd) throw tooManySamples();
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', leave, { once: true });
      this.#wakes.push(() => {
        signal.removeEventListener('abort', leave);
        // From here on others may wait for it again.
        lease.isWaiting = false;
        resolve();
      });
    });
  }

  #wake(): void {
    const wakes = this.#wakes;
    this.#wakes = [];
    for (const wake of wakes) wake();
  }
}

interface Budget {
  readonly tryTake: (bytes: number) => boolean;
  readonly giveBack: (bytes: number) => void;
  readonly change: (signal: AbortSignal) => Promise<void>;
  readonly patienceMs: number;
  /** Those that wait are to look again. */
  readonly heldUp: () => void;
  readonly close: () => void;
}

/** What one evaluation takes of a budget: samples that it reads, and cells of the vectors that it works out. */
export class MemoryLease {
  readonly #budget: Budget;
  #readBytes = 0;
  #cellBytes = 0;
  /** Whether it waits for others. */
  isWaiting = false;
  /** Whether it waits for the store, and has for long. */
  isHeldUp = false;
  #asking: NodeJS.Timeout | undefined;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get bytes(): number {
    return this.#readBytes + this.#cellBytes;
  }

  /** Bytes of samples that are read and may still be looked at; to be given to `forgetRead`. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** A question goes to the store, whose answer is told by `read` or `answered`. */
  asks(): void {
    this.answered();
    this.#asking = setTimeout(() => {
      this.isHeldUp = true;
      this.#budget.heldUp();
    }, this.#budget.patienceMs);
  }

  answered(): void {
    clearTimeout(this.#asking);
    this.isHeldUp = false;
  }

  /** Before so much more is read: waits until others have given it back. Throws TREASURY_QUERY_LIMIT when nobody will, and the signal's reason. */
  async read(bytes: number, signal: AbortSignal): Promise<void> {
    this.answered();
    try {
      while (!this.#budget.tryTake(bytes)) {
        this.isWaiting = true;
        await this.#budget.change(signal);
      }
    } finally {
      this.isWaiting = false;
    }
    this.#readBytes += bytes;
  }

  /** Samples that were read behind `readBytes` are looked at no more. */
  forgetRead(readBytes: number): void {
    this.#budget.giveBack(this.#readBytes - readBytes);
    this.#readBytes = readBytes;
  }

  /** Cells take so much now. Throws TREASURY_QUERY_LIMIT when there is no more: work does not stop in the midst of them. */
  holdCells(bytes: number): void {
    if (bytes <= this.#cellBytes) this.#budget.giveBack(this.#cellBytes - bytes);
    else if (!this.#budget.tryTake(bytes - this.#cellBytes)) throw tooManySamples();
    this.#cellBytes = bytes;
  }

  /** Gives all back. */
  close(): void {
    this.answered();
    this.#budget.giveBack(this.bytes);
    this.#readBytes = 0;
    this.#cellBytes = 0;
    this.#budget.close();
  }
}
