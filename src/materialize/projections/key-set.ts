import { LIMITS } from '../../base/index.ts';

const SLOTS_INITIAL = 256;

/** A set of 64-bit keys as two 32-bit halves, without an object a key. The key 0 is not allowed (`finishHash` never makes it). */
export class KeySet {
  #slots = new Uint32Array(2 * SLOTS_INITIAL);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(low: number, high: number): boolean {
    const at = this.#find(low >>> 0, high >>> 0);
    return this.#slots[at] !== 0 || this.#slots[at + 1] !== 0;
  }

  /** Adds a key. Returns false when it was there before. */
  add(low: number, high: number): boolean {
    const at = this.#find(low >>> 0, high >>> 0);
    if (this.#slots[at] !== 0 || this.#slots[at + 1] !== 0) return false;
    this.#slots[at] = low;
    this.#slots[at + 1] = high;
    this.#size++;
    if (4 * this.#size > this.#slots.length) this.#grow();
    return true;
  }

  /** Takes a key away. Returns false when it was not there. */
  delete(low: number, high: number): boolean {
    const slots = this.#slots;
    let free = this.#find(low >>> 0, high >>> 0);
    if (slots[free] === 0 && slots[free + 1] === 0) return false;
    const mask = slots.length - 1;
    // Keys behind the gap that were put there because its slot was taken move up, or they would not be found any more.
    for (let at = (free + 2) & mask; slots[at] !== 0 || slots[at + 1] !== 0; at = (at + 2) & mask) {
      const home = (2 * slots[at]!) & mask;
      if (((at - home) & mask) < ((at - free) & mask)) continue;
      slots[free] = slots[at]!;
      slots[free + 1] = slots[at + 1]!;
      free = at;
    }
    slots[free] = 0;
    slots[free + 1] = 0;
    this.#size--;
    return true;
  }

  forEach(visit: (low: number, high: number) => void): void {
    for (let at = 0; at < this.#slots.length; at += 2) {
      const low = this.#slots[at]!;
      const high = this.#slots[at + 1]!;
      if (low !== 0 || high !== 0) visit(low, high);
    }
  }

  clear(): void {
    if (this.#size === 0) return;
    this.#slots = new Uint32Array(2 * SLOTS_INITIAL);
    this.#size = 0;
  }

  /** Slot of the key, or the free one where it belongs. Keys are hashes, so their low bits spread by themselves. */
  #find(low: number, high: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = (2 * low) & mask;
    for (;;) {
      const slotLow = slots[at]!;
      const slotHigh = slots[at + 1]!;
      if ((slotLow === low && slotHigh === high) || (slotLow === 0 && slotHigh === 0)) return at;
      at = (at + 2) & mask;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(2 * old.length);
    for (let at = 0; at < old.length; at += 2) {
      const low = old[at]!;
      const high = old[at + 1]!;
      if (low === 0 && high === 0) continue;
      const slot = this.#find(low, high);
      this.#slots[slot] = low;
      this.#slots[slot + 1] = high;
    }
  }
}

/**
 * The keys of dimension rows that are in the store or staged for it. Bounded by two generations: when the young one is full the old
 * one is forgotten, so keys in use stay. Forgetting costs a staged row that the anti-join drops, never a wrong one.
 */
export class KnownKeys {
  readonly #generationKeysMax: number;
  #young = new KeySet();
  #old = new KeySet();

  constructor(keysMax: number = LIMITS.knownDimensionKeysMax) {
    this.#generationKeysMax = Math.ceil(keysMax / 2);
  }

  has(low: number, high: number): boolean {
    if (this.#young.has(low, high)) return true;
    if (!this.#old.has(low, high)) return false;
    this.add(low, high);
    return true;
  }

  add(low: number, high: number): void {
    if (this.#young.size >= this.#generationKeysMax) {
      this.#old = this.#young;
      this.#young = new KeySet();
    }
    this.#young.add(low, high);
  }

  /** Forgets one key. */
  delete(low: number, high: number): void {
    this.#young.delete(low, high);
    this.#old.delete(low, high);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }
}
