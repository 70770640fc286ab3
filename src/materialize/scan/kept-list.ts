import type { TableChangesSeen } from '../table-changes.ts';

/** Something that is kept of a table. */
export interface Kept {
  readonly table: string;
  readonly bytes: number;
}

/** What is kept between questions: goes when rows went, and what was used least recently when it becomes too much. */
export class KeptList {
  /** Entries from here on are not looked at. */
  nextOffset = 0n;
  readonly bytesMax: number;
  readonly #see: () => TableChangesSeen;
  /** The one used last is the last. */
  #kept: readonly Kept[] = [];
  #removed = -1;
  #clearings = 0;

  constructor(see: () => TableChangesSeen, bytesMax: number) {
    this.#see = see;
    this.bytesMax = bytesMax;
  }

  clear(): void {
    this.#kept = [];
    this.#clearings++;
  }

  /** To be called before a question: forgets everything when rows went. What is returned tells `isCurrent` later whether that happened since. */
  begin(): number {
    const { removed } = this.#see();
    if (removed !== this.#removed) this.clear();
    this.#removed = removed;
    return this.#clearings;
  }

  /** Whether what was read since `begin` may be kept. */
  isCurrent(begun: number): boolean {
    return this.#clearings === begun && this.#see().removed === this.#removed;
  }

  /** What is kept of a table. */
  of(table: string): readonly Kept[] {
    return this.#kept.filter((one) => one.table === table);
  }

  drop(kept: Kept): void {
    this.#kept = this.#kept.filter((one) => one !== kept);
  }

  /** Counts as used last. */
  keep(kept: Kept): void {
    this.#kept = [...this.#kept.filter((one) => one !== kept), kept];
    this.trim();
  }

  /** To be called when something that is kept has grown. */
  trim(): void {
    let bytes = this.#kept.reduce((sum, one) => sum + one.bytes, 0);
    let first = 0;
    for (; bytes > this.bytesMax; first++) bytes -= this.#kept[first]!.bytes;
    this.#kept = this.#kept.slice(first);
  }
}
