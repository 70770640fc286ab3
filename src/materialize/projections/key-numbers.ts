import { LIMITS } from '../../base/index.ts';

const SLOTS_INITIAL = 256;

/** Numbers from 1 on by 64-bit keys as two 32-bit halves, without an object a key. The key 0 is not allowed. */
class KeyMap {
  #keys = new Uint32Array(2 * SLOTS_INITIAL);
  /** 0 is a free slot. */
  #numbers = new Uint32Array(SLOTS_INITIAL);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** 0: it is not there. */
  get(low: number, high: number): number {
    return this.#numbers[this.#find(low >>> 0, high >>> 0)]!;
  }

  set(low: number, high: number, number: number): void {
    const slot = this.#find(low >>> 0, high >>> 0);
    if (this.#numbers[slot] === 0) this.#size++;
    this.#keys[2 * slot] = low;
    this.#keys[2 * slot + 1] = high;
    this.#numbers[slot] = number;
    if (2 * this.#size > this.#numbers.length) this.#grow();
  }

  /** What is left without the numbers from `first` up to but not including `end`. */
  without(first: number, end: number): KeyMap {
    const left = new KeyMap();
    for (const [slot, number] of this.#numbers.entries()) {
      if (number === 0 || (number >= first && number < end)) continue;
      left.set(this.#keys[2 * slot]!, this.#keys[2 * slot + 1]!, number);
    }
    return left;
  }

  /** Slot of the key, or the free one where it belongs. Keys are hashes, so their low bits spread by themselves. */
  #find(low: number, high: number): number {
    const keys = this.#keys;
    const mask = this.#numbers.length - 1;
    let slot = low & mask;
    while (this.#numbers[slot] !== 0 && (keys[2 * slot] !== low || keys[2 * slot + 1] !== high)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #grow(): void {
    const keys = this.#keys;
    const numbers = this.#numbers;
    this.#keys = new Uint32Array(2 * keys.length);
    this.#numbers = new Uint32Array(2 * numbers.length);
    for (const [slot, number] of numbers.entries()) {
      if (number === 0) continue;
      const to = this.#find(keys[2 * slot]!, keys[2 * slot + 1]!);
      this.#keys[2 * to] = keys[2 * slot]!;
      this.#keys[2 * to + 1] = keys[2 * slot + 1]!;
      this.#numbers[to] = number;
    }
  }
}

/** The numbers of keys, bounded by two generations: when the young one is full the old one is forgotten, so keys in use stay. */
export class KeyNumbers {
  readonly #generationKeysMax: number;
  #young = new KeyMap();
  #old = new KeyMap();

  constructor(keysMax: number = LIMITS.knownDimensionKeysMax) {
    this.#generationKeysMax = Math.ceil(keysMax / 2);
  }

  /** 0: it is not known, or not any more. */
  get(low: number, high: number): number {
    const young = this.#young.get(low, high);
    if (young !== 0) return young;
    const old = this.#old.get(low, high);
    if (old !== 0) this.set(low, high, old);
    return old;
  }

  /** `number` is from 1 to 2^32 - 1. */
  set(low: number, high: number, number: number): void {
    if (this.#young.size >= this.#generationKeysMax) {
      this.#old = this.#young;
      this.#young = new KeyMap();
    }
    this.#young.set(low, high, number);
  }

  /** Forgets the keys with numbers from `first` up to but not including `end`. */
  forget(first: number, end: number): void {
    this.#young = this.#young.without(first, end);
    this.#old = this.#old.without(first, end);
  }

  clear(): void {
    this.#young = new KeyMap();
    this.#old = new KeyMap();
  }
}
