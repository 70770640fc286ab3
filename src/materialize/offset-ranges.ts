/** Which offsets are there: ranges in order, with something missing between each two. */

/** Offsets from `from` on, below `to`. */
export interface OffsetRange {
  readonly from: bigint;
  readonly to: bigint;
}

/** The ranges with another one; what touches becomes one. An empty one changes nothing. */
export function withRange(ranges: readonly OffsetRange[], added: OffsetRange): readonly OffsetRange[] {
  if (added.to <= added.from) return ranges;
  let { from, to } = added;
  const apart: OffsetRange[] = [];
  for (const range of ranges) {
    if (range.to < from || range.from > to) {
      apart.push(range);
      continue;
    }
    if (range.from < from) from = range.from;
    if (range.to > to) to = range.to;
  }
  return [...apart, { from, to }].toSorted((a, b) => (a.from < b.from ? -1 : 1));
}

/** Whether all offsets of a range are there. */
export function hasRange(ranges: readonly OffsetRange[], { from, to }: OffsetRange): boolean {
  return ranges.some((range) => range.from <= from && to <= range.to);
}

/** What is missing between the first and the last. */
export function gapsOf(ranges: readonly OffsetRange[]): OffsetRange[] {
  return ranges.slice(1).map(({ from }, i) => ({ from: ranges[i]!.to, to: from }));
}
