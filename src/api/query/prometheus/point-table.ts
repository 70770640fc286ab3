import type { PointColumns } from '../../../materialize/index.ts';
import { TreasuryError } from '../../../base/index.ts';

/** The most chunks of a scan that are held: positions are kept in 16 bits each. */
const CHUNKS_MAX = 65_536;

/**
 * The points of some stored series, by series ("slot": the position of its ordinal among those asked for) and by time. Columns stay in the chunks they came in; only
 * where each point stands is sorted. Of points of one series at one millisecond, the last one read stays.
 */
export class PointTable<Chunk extends PointColumns> {
  readonly #chunks: readonly Chunk[];
  readonly #offsets: Uint32Array;
  readonly #chunkOf: Uint16Array;
  readonly #rowOf: Uint32Array;

  private constructor(chunks: readonly Chunk[], offsets: Uint32Array, chunkOf: Uint16Array, rowOf: Uint32Array) {
    this.#chunks = chunks;
    this.#offsets = offsets;
    this.#chunkOf = chunkOf;
    this.#rowOf = rowOf;
  }

  /** Reads all chunks. Throws TREASURY_QUERY_LIMIT as soon as there are more than `pointsMax` points. */
  static async read<Chunk extends PointColumns>(
    scan: AsyncIterable<Chunk>,
    ordinals: Uint32Array,
    pointsMax: number,
  ): Promise<PointTable<Chunk>> {
    const chunks: Chunk[] = [];
    let points = 0;
    for await (const chunk of scan) {
      chunks.push(chunk);
      points += chunk.ordinals.length;
      if (points > pointsMax || chunks.length > CHUNKS_MAX) throw tooManyPoints();
    }
    return PointTable.#ordered(chunks, ordinals);
  }

  static #ordered<Chunk extends PointColumns>(chunks: readonly Chunk[], ordinals: Uint32Array): PointTable<Chunk> {
    const slotOf = new Int32Array(ordinals.length === 0 ? 0 : ordinals.at(-1)! + 1).fill(-1);
    ordinals.forEach((ordinal, slot) => {
      slotOf[ordinal] = slot;
    });
    const offsets = new Uint32Array(ordinals.length + 1);
    let kept = 0;
    for (const chunk of chunks) {
      for (const ordinal of chunk.ordinals) {
        const slot = slotOf[ordinal] ?? -1;
        if (slot === -1) continue;
        offsets[slot + 1]!++;
        kept++;
      }
    }
    for (let slot = 0; slot < ordinals.length; slot++) offsets[slot + 1]! += offsets[slot]!;
    const next = offsets.slice();
    const chunkOf = new Uint16Array(kept);
    const rowOf = new Uint32Array(kept);
    chunks.forEach((chunk, index) => {
      for (let row = 0; row < chunk.ordinals.length; row++) {
        const slot = slotOf[chunk.ordinals[row]!] ?? -1;
        if (slot === -1) continue;
        const place = next[slot]!++;
        chunkOf[place] = index;
        rowOf[place] = row;
      }
    });
    const table = new PointTable(chunks, offsets, chunkOf, rowOf);
    for (let slot = 0; slot < ordinals.length; slot++) table.#sortSlot(slot);
    return table;
  }

  /** Where the points of a slot begin and end. */
  range(slot: number): readonly [from: number, until: number] {
    return [this.#offsets[slot]!, this.#offsets[slot + 1]!];
  }

  chunkAt(place: number): Chunk {
    return this.#chunks[this.#chunkOf[place]!]!;
  }

  rowAt(place: number): number {
    return this.#rowOf[place]!;
  }

  timeAt(place: number): number {
    return this.chunkAt(place).timesMs[this.rowAt(place)]!;
  }

  /** Whether the next place of the slot has the same time, so that this one is passed over. */
  isRepeated(place: number, until: number): boolean {
    return place + 1 < until && this.timeAt(place) === this.timeAt(place + 1);
  }

  /** Points come in order nearly always: they are only looked at, then. */
  #sortSlot(slot: number): void {
    const [from, until] = this.range(slot);
    let isSorted = true;
    for (let place = from + 1; place < until && isSorted; place++)
      isSorted = this.timeAt(place - 1) <= this.timeAt(place);
    if (isSorted) return;
    const places = Array.from({ length: until - from }, (_, at) => from + at);
    places.sort((left, right) => this.timeAt(left) - this.timeAt(right) || left - right);
    const chunkOf = Uint16Array.from(places, (place) => this.#chunkOf[place]!);
    const rowOf = Uint32Array.from(places, (place) => this.#rowOf[place]!);
    this.#chunkOf.set(chunkOf, from);
    this.#rowOf.set(rowOf, from);
  }
}

function tooManyPoints(): TreasuryError {
  return new TreasuryError(
    'TREASURY_QUERY_LIMIT',
    'query processing would load too many samples into memory in query execution',
    { facts: { language: 'promql' } },
  );
}
