/** The bytes of one file: as processes see them, as the disk has them, and everything that is on its way between the two. */
import type { Random } from '../../helpers/random.ts';

/** How much of what was never synced is on the disk after a power cut. */
export type Survival = 'none' | 'all' | 'prefix' | 'any';

export class SimulatedInode {
  /** As processes see it. */
  cache: Buffer = Buffer.alloc(0);
  readonly #sectorBytes: number;
  #disk: Buffer = Buffer.alloc(0);
  /** Per sector what it has held since it was last known to be on the disk, in order. */
  readonly #dirty = new Map<number, Buffer[]>();
  #sizes: number[] = [];

  constructor(sectorBytes: number) {
    this.#sectorBytes = sectorBytes;
  }

  /** The size that the disk gets when everything dirty is written. */
  get #nextDiskBytes(): number {
    return this.#sizes.at(-1) ?? this.#disk.length;
  }

  write(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length;
    const sizeBefore = this.cache.length;
    if (end > sizeBefore) this.cache = Buffer.concat([this.cache], end);
    this.cache.set(bytes, position);
    if (end > this.#nextDiskBytes) this.#sizes.push(end);
    this.#touch(Math.min(position, sizeBefore), end);
  }

  truncate(bytes: number): void {
    const before = this.cache.length;
    this.cache = Buffer.concat([this.cache.subarray(0, bytes)], bytes);
    this.#sizes.push(bytes);
    this.#touch(Math.min(bytes, before), Math.max(bytes, before));
  }

  /** All that counts as dirty is on the disk. What an earlier sync has lost is not: nobody remembers that it is missing. */
  sync(random: Random): void {
    this.#disk = this.#resolve(random, 'all');
    this.#dirty.clear();
    this.#sizes = [];
  }

  /** What a failed sync leaves: any part reached the disk, and the rest counts as clean although it never will. */
  failSync(random: Random): void {
    this.#disk = this.#resolve(random, random.pick(['none', 'prefix', 'any', 'any']));
    this.#dirty.clear();
    this.#sizes = [];
  }

  /** The page cache forgets what it takes for clean: from now on everybody sees the disk. */
  evict(): void {
    const seen = Buffer.alloc(this.cache.length);
    this.#disk.copy(seen);
    for (const [sector, versions] of this.#dirty) {
      const start = sector * this.#sectorBytes;
      if (start < seen.length) versions.at(-1)!.copy(seen, start);
    }
    this.cache = seen;
  }

  /** What is left after the power was cut. */
  powerCut(random: Random, survival: Survival): void {
    this.#disk = this.#resolve(random, survival);
    this.#dirty.clear();
    this.#sizes = [];
    this.cache = Buffer.from(this.#disk);
  }

  /** The disk with a part of what was on its way to it. A sector that is missing below the end reads as zeros. */
  #resolve(random: Random, survival: Survival): Buffer {
    if (survival === 'none') return this.#disk;
    const sizes = [this.#disk.length, ...this.#sizes];
    const size = survival === 'all' ? this.#nextDiskBytes : random.pick(sizes);
    const resolved = Buffer.alloc(size);
    this.#disk.copy(resolved);
    // As if the disk took sectors in order of their places and stopped somewhere.
    const end = survival === 'prefix' ? random.below(size + 1) : size;
    for (const [sector, versions] of this.#dirty) {
      const start = sector * this.#sectorBytes;
      const newest = versions.length;
      const version = survival === 'any' ? random.below(newest + 1) : start < end ? newest : 0;
      if (version > 0 && start < size) versions[version - 1]!.copy(resolved, start);
    }
    return resolved;
  }

  #touch(from: number, to: number): void {
    const last = Math.ceil(to / this.#sectorBytes);
    for (let sector = Math.floor(from / this.#sectorBytes); sector < last; sector++) {
      const start = sector * this.#sectorBytes;
      const held = Buffer.alloc(this.#sectorBytes);
      this.cache.subarray(start, start + this.#sectorBytes).copy(held);
      const versions = this.#dirty.get(sector);
      if (versions === undefined) this.#dirty.set(sector, [held]);
      else versions.push(held);
    }
  }
}
