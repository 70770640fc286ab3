import { changesOf } from './point-changes.ts';
import { ordinalPlaces } from './time-order.ts';
import type { ExponentialHistogramChunk } from './types.ts';

/**
 * Points of exponential histograms by series, those of one in the order in which they were stored: readers, who go from series to series, find neighbours beside each
 * other. Points of series that are not among `ordinals` (ascending) are left out. All of it is copied, and neighbours are compared.
 */
export function sortedExponentialHistograms(
  chunks: readonly ExponentialHistogramChunk[],
  ordinals: Uint32Array,
): ExponentialHistogramChunk {
  const offsets = offsetsOf(chunks, ordinals);
  const points = offsets[ordinals.length]!;
  const sorted = emptyChunk(chunks, points);
  const places = ordinalPlaces(ordinals);
  const chunkOf = new Uint32Array(points);
  const rowOf = new Uint32Array(points);
  for (const [index, chunk] of chunks.entries()) {
    for (let row = 0; row < chunk.ordinals.length; row++) {
      const slot = (places[chunk.ordinals[row]!] ?? 0) - 1;
      if (slot === -1) continue;
      const place = offsets[slot]!++;
      chunkOf[place] = index;
      rowOf[place] = row;
    }
  }
  let positive = 0;
  let negative = 0;
  for (let place = 0; place < points; place++) {
    const chunk = chunks[chunkOf[place]!]!;
    const row = rowOf[place]!;
    sorted.ordinals[place] = chunk.ordinals[row]!;
    sorted.timesMs[place] = chunk.timesMs[row]!;
    if (sorted.startTimesMs !== undefined) sorted.startTimesMs[place] = chunk.startTimesMs?.[row] ?? 0;
    sorted.flags[place] = chunk.flags[row]!;
    sorted.scales[place] = chunk.scales[row]!;
    sorted.counts[place] = chunk.counts[row]!;
    sorted.sums[place] = chunk.sums[row]!;
    sorted.zeroCounts[place] = chunk.zeroCounts[row]!;
    sorted.zeroThresholds[place] = chunk.zeroThresholds[row]!;
    sorted.positiveFirstIndexes[place] = chunk.positiveFirstIndexes[row]!;
    sorted.negativeFirstIndexes[place] = chunk.negativeFirstIndexes[row]!;
    for (let at = chunk.positiveOffsets[row]!; at < chunk.positiveOffsets[row + 1]!; at++)
      sorted.positiveCounts[positive++] = chunk.positiveCounts[at]!;
    for (let at = chunk.negativeOffsets[row]!; at < chunk.negativeOffsets[row + 1]!; at++)
      sorted.negativeCounts[negative++] = chunk.negativeCounts[at]!;
    sorted.positiveOffsets[place + 1] = positive;
    sorted.negativeOffsets[place + 1] = negative;
  }
  const listed = {
    ...sorted,
    positiveCounts: sorted.positiveCounts.slice(0, positive),
    negativeCounts: sorted.negativeCounts.slice(0, negative),
  };
  return { ...listed, changes: changesOf(listed) };
}

/** Where the points of each series begin, and the end. */
function offsetsOf(chunks: readonly ExponentialHistogramChunk[], ordinals: Uint32Array): Uint32Array {
  const places = ordinalPlaces(ordinals);
  const offsets = new Uint32Array(ordinals.length + 1);
  for (const chunk of chunks) {
    for (let row = 0; row < chunk.ordinals.length; row++) {
      const slot = places[chunk.ordinals[row]!] ?? 0;
      if (slot !== 0) offsets[slot]!++;
    }
  }
  for (let slot = 0; slot < ordinals.length; slot++) offsets[slot + 1]! += offsets[slot]!;
  return offsets;
}

function emptyChunk(chunks: readonly ExponentialHistogramChunk[], points: number): ExponentialHistogramChunk {
  const hasStartTimes = chunks.some(({ startTimesMs }) => startTimesMs !== undefined);
  const listed = (offsetsOfChunk: (chunk: ExponentialHistogramChunk) => Uint32Array): number =>
    chunks.reduce((sum, chunk) => sum + offsetsOfChunk(chunk).at(-1)! - offsetsOfChunk(chunk)[0]!, 0);
  return {
    ordinals: new Uint32Array(points),
    timesMs: new Float64Array(points),
    startTimesMs: hasStartTimes ? new Float64Array(points) : undefined,
    flags: new Uint32Array(points),
    scales: new Int32Array(points),
    counts: new Float64Array(points),
    sums: new Float64Array(points),
    zeroCounts: new Float64Array(points),
    zeroThresholds: new Float64Array(points),
    positiveFirstIndexes: new Int32Array(points),
    positiveOffsets: new Uint32Array(points + 1),
    positiveCounts: new Float64Array(listed(({ positiveOffsets }) => positiveOffsets)),
    negativeFirstIndexes: new Int32Array(points),
    negativeOffsets: new Uint32Array(points + 1),
    negativeCounts: new Float64Array(listed(({ negativeOffsets }) => negativeOffsets)),
  };
}
