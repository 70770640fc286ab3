import { COMPARED, type ExponentialHistogramChunk, FELL, OTHER_BUCKETS_USED } from './types.ts';

/** What comparisons of each point of exponential histograms with the one in the row before find: see `ExponentialHistogramChunk.changes`. */
export function changesOf(chunk: ExponentialHistogramChunk): Uint8Array {
  const changes = new Uint8Array(chunk.ordinals.length);
  for (let row = 1; row < changes.length; row++)
    if (areComparable(chunk, row)) changes[row] = COMPARED | compare(chunk, row);
  return changes;
}

function areComparable(chunk: ExponentialHistogramChunk, row: number): boolean {
  return (
    chunk.ordinals[row] === chunk.ordinals[row - 1] &&
    chunk.scales[row] === chunk.scales[row - 1] &&
    chunk.zeroThresholds[row] === chunk.zeroThresholds[row - 1] &&
    chunk.positiveFirstIndexes[row] === chunk.positiveFirstIndexes[row - 1] &&
    chunk.negativeFirstIndexes[row] === chunk.negativeFirstIndexes[row - 1] &&
    haveEqualSizes(chunk.positiveOffsets, row) &&
    haveEqualSizes(chunk.negativeOffsets, row)
  );
}

function haveEqualSizes(offsets: Uint32Array, row: number): boolean {
  return offsets[row + 1]! - offsets[row]! === offsets[row]! - offsets[row - 1]!;
}

function compare(chunk: ExponentialHistogramChunk, row: number): number {
  const { counts, zeroCounts } = chunk;
  const found = counts[row]! < counts[row - 1]! || zeroCounts[row]! < zeroCounts[row - 1]! ? FELL : 0;
  return (
    found |
    compareSide(chunk.positiveCounts, chunk.positiveOffsets, row) |
    compareSide(chunk.negativeCounts, chunk.negativeOffsets, row)
  );
}

function compareSide(counts: Float64Array, offsets: Uint32Array, row: number): number {
  const end = offsets[row + 1]!;
  let found = 0;
  for (let at = offsets[row]!, from = offsets[row - 1]!; at < end; at++, from++) {
    const was = counts[from]!;
    const is = counts[at]!;
    if ((was === 0) !== (is === 0)) found |= OTHER_BUCKETS_USED;
    if (was !== 0 && is < was) found |= FELL;
  }
  return found;
}
