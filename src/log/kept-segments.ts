/** The segments of a log that hold entries or damage, oldest first, with what the log's status and retention need of them. */
import type { SegmentFacts, SegmentRow } from './segment-index.ts';
import type { FrameFacts } from './segment-scan.ts';

export interface KeptSegment {
  readonly baseOffset: bigint;
  endOffset: bigint;
  bytes: number;
  entries: bigint;
  /** The newest receive time of its entries, null when none can be read. */
  receivedAtMax: bigint | null;
}

export class KeptSegments {
  #segments: KeptSegment[];
  #bytes: number;

  constructor(rows: readonly SegmentRow[], facts: ReadonlyMap<bigint, SegmentFacts>) {
    this.#segments = rows.map(({ baseOffset, endOffset, bytes }) => ({
      baseOffset,
      endOffset,
      bytes,
      entries: facts.get(baseOffset)?.entries ?? 0n,
      receivedAtMax: facts.get(baseOffset)?.receivedAtMax ?? null,
    }));
    this.#bytes = rows.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Oldest first. */
  get list(): readonly KeptSegment[] {
    return this.#segments;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Base offset of the oldest, null without any. */
  get firstOffset(): bigint | null {
    return this.#segments[0]?.baseOffset ?? null;
  }

  /** Notes a segment as it is now, and a frame of it: of the newest one, or one behind it. Returns whether it is a new one. */
  note(row: SegmentRow, frame: FrameFacts | null): boolean {
    const known = this.#find(row.baseOffset);
    const isNew = known === undefined;
    const { baseOffset, endOffset, bytes } = row;
    const segment = known ?? { baseOffset, endOffset, bytes: 0, entries: 0n, receivedAtMax: null };
    if (isNew) this.#segments.push(segment);
    this.#bytes += bytes - segment.bytes;
    segment.bytes = bytes;
    segment.endOffset = endOffset;
    if (frame === null) return isNew;
    segment.entries += BigInt(frame.rows);
    const { receivedAtMax } = segment;
    segment.receivedAtMax =
      receivedAtMax === null || frame.receivedAtMax > receivedAtMax ? frame.receivedAtMax : receivedAtMax;
    return isNew;
  }

  has(baseOffset: bigint): boolean {
    return this.#find(baseOffset) !== undefined;
  }

  #find(baseOffset: bigint): KeptSegment | undefined {
    return this.#segments.findLast((segment) => segment.baseOffset === baseOffset);
  }

  removeOldest(): void {
    this.#bytes -= this.#segments[0]?.bytes ?? 0;
    this.#segments = this.#segments.slice(1);
  }
}
