import type { ExemplarChunk, MetricScans } from '../../../materialize/index.ts';
import { Labels } from '../promql/labels.ts';
import type { MatchedSeries } from './match-series.ts';
import type { Exemplar, SeriesExemplars } from './metrics-view.ts';
import type { StoredIndex } from './stored-index.ts';

/** Characters that the attributes of an exemplar may have beside its ids; with more they are left out (OpenMetrics). */
const ATTRIBUTE_CHARACTERS_MAX = 128;

/**
 * The exemplars of matched series: of counters and native histograms as they are, of a classic histogram at the bucket that the value falls into. Others have none.
 */
export async function readExemplars(
  scans: MetricScans,
  index: StoredIndex,
  matched: readonly MatchedSeries[],
  range: { readonly fromMs: number; readonly untilMs: number },
  signal: AbortSignal,
): Promise<SeriesExemplars[]> {
  const bearing = matched.filter(({ entry }) => bearsExemplars(index, entry.ordinal, entry.part));
  if (bearing.length === 0) return [];
  const byOrdinal = new Map<number, MatchedSeries[]>();
  for (const series of bearing) {
    const others = byOrdinal.get(series.entry.ordinal);
    if (others === undefined) byOrdinal.set(series.entry.ordinal, [series]);
    else others.push(series);
  }
  const found = new Map<MatchedSeries, Exemplar[]>();
  const ordinals = Uint32Array.from(byOrdinal.keys()).sort();
  const request = { ...range, ordinals, withStartTimes: false, signal };
  for await (const chunk of scans.exemplars(request)) {
    for (let row = 0; row < chunk.ordinals.length; row++) {
      const exemplar = exemplarAt(chunk, row);
      for (const series of byOrdinal.get(chunk.ordinals[row]!) ?? []) {
        if (series.entry.part === 'bucket' && series.bound !== bucketOf(index, series, exemplar.value)) continue;
        const exemplars = found.get(series);
        if (exemplars === undefined) found.set(series, [exemplar]);
        else exemplars.push(exemplar);
      }
    }
  }
  return [...found].map(([{ labels }, exemplars]) => ({
    labels,
    exemplars: exemplars.sort((left, right) => left.timeMs - right.timeMs),
  }));
}

function bearsExemplars(index: StoredIndex, ordinal: number, part: MatchedSeries['entry']['part']): boolean {
  return part === 'native' || part === 'bucket' || (part === 'value' && index.kinds[ordinal]!.isMonotonic);
}

/** The text of the lowest bound that is not below `value`. */
function bucketOf(index: StoredIndex, { entry }: MatchedSeries, value: number): string {
  let lowest = Number.POSITIVE_INFINITY;
  let text = '+Inf';
  for (const bound of index.bounds(entry.ordinal)) {
    const number = Number(bound);
    if (number < value || number >= lowest) continue;
    lowest = number;
    text = bound;
  }
  return text;
}

/** Ids win over attributes of their names. */
function exemplarAt(chunk: ExemplarChunk, row: number): Exemplar {
  const attributes = chunk.attributes[row]!;
  const traceId = chunk.traceIds[row]!;
  const spanId = chunk.spanIds[row]!;
  const pairs: [string, string][] = [];
  const idCharacters =
    (traceId === '' ? 0 : 'trace_id'.length + traceId.length) + (spanId === '' ? 0 : 'span_id'.length + spanId.length);
  const characters = attributes.reduce((sum, text) => sum + Array.from(text).length, idCharacters);
  if (characters <= ATTRIBUTE_CHARACTERS_MAX) {
    for (let at = 0; at + 1 < attributes.length; at += 2) pairs.push([attributes[at]!, attributes[at + 1]!]);
  }
  pairs.push(...(traceId === '' ? [] : [['trace_id', traceId] as [string, string]]));
  pairs.push(...(spanId === '' ? [] : [['span_id', spanId] as [string, string]]));
  return { labels: Labels.of(pairs), value: chunk.values[row]!, timeMs: chunk.timesMs[row]! };
}
