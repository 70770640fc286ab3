import type { PointColumns } from '../../../materialize/index.ts';
import { tooManySamples } from '../promql/promql-errors.ts';
import type { PointSlots } from './point-slots.ts';

/** The most chunks of a scan that are held: positions are kept in 16 bits each. */
const CHUNKS_MAX = 65_536;

/**
 * The points of some stored series by series and by time; of those of one series at one millisecond only the last that was read. Columns stay in the chunks they
 * came in; only where each point stands is sorted.
 */
export class PointTable<Chunk extends PointColumns> {
  /** By place. */
  readonly timesMs: Float64Array;
  readonly #chunks: readonly Chunk[];
  readonly #chunkOf: Uint16Array;
  readonly #rowOf: Uint32Array;
  readonly #offsets: Uint32Array;
  readonly #ends: Uint32Array;

  constructor(chunks: readonly Chunk[], slots: PointSlots) {
    if (chunks.length > CHUNKS_MAX) throw tooManySamples();
    const offsets = new Uint32Array(slots.count + 1);
    for (const { ordinals } of chunks) {
      for (let row = 0; row < ordinals.length; row++) {
        const slot = slots.of(ordinals[row]!);
        if (slot !== -1) offsets[slot + 1]!++;
      }
    }
    for (let slot = 0; slot < slots.count; slot++) offsets[slot + 1]! += offsets[slot]!;
    const points = offsets.at(-1)!;
    this.#chunks = chunks;
    this.#offsets = offsets;
    this.#ends = offsets.slice(0, -1);
    this.timesMs = new Float64Array(points);
    this.#chunkOf = new Uint16Array(points);
    this.#rowOf = new Uint32Array(points);
    for (const [index, chunk] of chunks.entries()) this.#place(index, chunk, slots);
    for (let slot = 0; slot < slots.count; slot++) this.#arrange(slot);
  }

  /** Where the points of a slot begin and end. */
  range(slot: number): readonly [from: number, until: number] {
    return [this.#offsets[slot]!, this.#ends[slot]!];
  }

  chunkAt(place: number): Chunk {
    return this.#chunks[this.#chunkOf[place]!]!;
  }

  chunkNumberAt(place: number): number {
    return this.#chunkOf[place]!;
  }

  rowAt(place: number): number {
    return this.#rowOf[place]!;
  }

  /** `#ends` tells how far each slot is filled. */
  #place(index: number, { ordinals, timesMs }: Chunk, slots: PointSlots): void {
    for (let row = 0; row < ordinals.length; row++) {
      const slot = slots.of(ordinals[row]!);
      if (slot === -1) continue;
      const place = this.#ends[slot]!++;
      this.timesMs[place] = timesMs[row]!;
      this.#chunkOf[place] = index;
      this.#rowOf[place] = row;
    }
  }

  /** Points come in order nearly always: they are only looked at, then. */
  #arrange(slot: number): void {
    const { timesMs } = this;
    const from = this.#offsets[slot]!;
    const until = this.#ends[slot]!;
    let rising = from + 1;
    while (rising < until && timesMs[rising - 1]! < timesMs[rising]!) rising++;
    if (rising >= until) return;
    const order = timeOrder(timesMs.subarray(from, until));
    const { length } = order;
    timesMs.set(
      Float64Array.from(order, (at) => timesMs[from + at]!),
      from,
    );
    this.#chunkOf.set(
      Uint16Array.from(order, (at) => this.#chunkOf[from + at]!),
      from,
    );
    this.#rowOf.set(
      Uint32Array.from(order, (at) => this.#rowOf[from + at]!),
      from,
    );
    this.#ends[slot] = from + length;
  }
}

/** Positions of times, ascending; of equal times only the last position. */
export function timeOrder(timesMs: Float64Array): Uint32Array {
  const order = Uint32Array.from(timesMs, (_, at) => at);
  let isRising = true;
  for (let at = 1; at < timesMs.length && isRising; at++) isRising = timesMs[at - 1]! <= timesMs[at]!;
  if (!isRising) order.sort((left, right) => timesMs[left]! - timesMs[right]! || left - right);
  return order.filter((at, place) => place + 1 === order.length || timesMs[at] !== timesMs[order[place + 1]!]);
}
