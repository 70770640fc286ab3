/** Which place among the series that were asked for ("slot") an ordinal has. */
export class PointSlots {
  /** Ascending. */
  readonly ordinals: Uint32Array;
  /** By ordinal up to the greatest that was asked for: its slot and one, 0 for one that was not. */
  readonly places: Uint32Array;

  /** From ordinals in any order, that may repeat. */
  constructor(ordinals: Iterable<number>) {
    this.ordinals = Uint32Array.from(new Set(ordinals)).sort();
    this.places = new Uint32Array(this.ordinals.length === 0 ? 0 : this.ordinals.at(-1)! + 1);
    for (let slot = 0; slot < this.ordinals.length; slot++) this.places[this.ordinals[slot]!] = slot + 1;
  }

  get count(): number {
    return this.ordinals.length;
  }

  /** -1 for an ordinal that was not asked for. */
  of(ordinal: number): number {
    return ordinal < this.places.length ? this.places[ordinal]! - 1 : -1;
  }
}
