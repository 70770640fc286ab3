/**
 * Series: what data points have in common over time. The id is a hash of resource attributes, scope (name, version, attributes),
 * metric (name, unit, type, temporality, monotonicity) and data point attributes; the description may change without a new series.
 */
import type { DataPointColumns, MetricsTable } from '../../otap/index.ts';
import type { VectorData } from '../vectors.ts';
import { sumAttributeHashes } from './attribute-hashes.ts';
import { foldAttributes, type OwnedAttributes } from './attributes.ts';
import { fixed, numbersAt, textsAt } from './columns.ts';
import { columnHashes, finishHash, mixWord, restartHash, startHash } from './content-hash.ts';
import { pickPairs, pickStrings } from './dimensions.ts';
import { wordsAsU64 } from './identifiers.ts';
import type { NumberSet } from './number-set.ts';
import type { ProjectionWriter, RootDimensions } from './projection-writer.ts';
import { parentRows, type RowIndex, selectGroups } from './row-groups.ts';
import type { Scratch } from './scratch.ts';
import type { SeriesNumbers } from './series-numbers.ts';

const METRIC_TAG = 32;
const ORPHAN_METRIC_TAG = 33;

/** The metrics of a batch as their points see them. */
export interface BatchMetrics {
  readonly metrics: MetricsTable;
  readonly index: RowIndex;
  readonly dimensions: RootDimensions;
  /** Hash state of each metric row: low at 2 r, high at 2 r + 1. */
  readonly states: Uint32Array;
}

/** Hashes what each metric adds to the identity of its series. */
export function hashMetrics(metrics: MetricsTable, dimensions: RootDimensions, scratch: Scratch): Uint32Array {
  const { rowCount, metricType, aggregationTemporality, isMonotonic } = metrics;
  const names = columnHashes(metrics.name);
  const units = columnHashes(metrics.unit);
  const resources = dimensions.resources.identities;
  const scopes = dimensions.scopes.identities;
  const states = scratch.u32(2 * rowCount);
  const lanes = startHash(0);
  const part = startHash(0);
  for (let row = 0; row < rowCount; row++) {
    restartHash(lanes, METRIC_TAG);
    mixWord(lanes, resources[2 * row]!);
    mixWord(lanes, resources[2 * row + 1]!);
    mixWord(lanes, scopes[2 * row]!);
    mixWord(lanes, scopes[2 * row + 1]!);
    names.read(part, row);
    mixWord(lanes, part[0]!);
    mixWord(lanes, part[1]!);
    units.read(part, row);
    mixWord(lanes, part[0]!);
    mixWord(lanes, part[1]!);
    mixWord(lanes, metricType === null ? 0 : metricType.values[row]!);
    mixWord(lanes, aggregationTemporality === null ? 0 : aggregationTemporality.values[row]!);
    mixWord(lanes, isMonotonic !== null && isMonotonic.values[row] !== 0 ? 1 : 0);
    states[2 * row] = lanes[0]!;
    states[2 * row + 1] = lanes[1]!;
  }
  return states;
}

/** How series are numbered for the tables of one projector. */
export interface NumberedSeries {
  readonly numbers: SeriesNumbers;
  /** Numbers whose rows, and those of their series, are in the tables or staged for them. */
  readonly written: NumberSet;
}

/**
 * The number of each data point's series; collects the series that are new. A point whose metric is not in the batch belongs to a series
 * of an empty metric without resource and scope.
 */
export function resolveSeries(
  writer: ProjectionWriter,
  points: DataPointColumns,
  attributes: OwnedAttributes,
  { numbers, written }: NumberedSeries,
  batch: BatchMetrics,
): Uint32Array {
  const { scratch } = writer;
  const { rowCount } = points;
  const { states } = batch;
  const metricRows = parentRows(points.parentId, rowCount, batch.index, scratch);
  const sums = sumAttributeHashes(attributes, rowCount, scratch);
  const { offsets } = attributes.groups;
  const ids = scratch.u32(2 * rowCount);
  const seriesNumbers = scratch.u32(rowCount);
  const newPoints: number[] = [];
  const newNumbers = new Set<number>();
  const lanes = startHash(0);
  for (let row = 0; row < rowCount; row++) {
    const metric = metricRows[row]!;
    if (metric < 0) {
      restartHash(lanes, ORPHAN_METRIC_TAG);
    } else {
      lanes[0] = states[2 * metric]!;
      lanes[1] = states[2 * metric + 1]!;
    }
    mixWord(lanes, offsets[row + 1]! - offsets[row]!);
    mixWord(lanes, sums[2 * row]!);
    mixWord(lanes, sums[2 * row + 1]!);
    finishHash(lanes);
    ids[2 * row] = lanes[0]!;
    ids[2 * row + 1] = lanes[1]!;
    const number = numbers.numberOf(lanes[0]!, lanes[1]!);
    seriesNumbers[row] = number;
    if (written.has(number) || newNumbers.has(number)) continue;
    newNumbers.add(number);
    newPoints.push(row);
  }
  if (newPoints.length > 0) {
    const rows = seriesColumns(writer, ids, newPoints, metricRows, attributes, batch);
    writer.stage('series', rows, newPoints.length, () => {});
    const numberRows = [fixed(Uint32Array.from(newNumbers)), fixed(wordsAsU64(pickPairs(ids, newPoints, scratch)))];
    writer.stage('series_numbers', numberRows, newPoints.length, () => {
      for (const number of newNumbers) written.add(number);
    });
  }
  return seriesNumbers;
}

function seriesColumns(
  { arena, scratch }: ProjectionWriter,
  ids: Uint32Array,
  points: readonly number[],
  metricRows: Int32Array,
  attributes: OwnedAttributes,
  { metrics, dimensions }: BatchMetrics,
): readonly VectorData[] {
  const rows = points.map((point) => metricRows[point]!);
  const count = rows.length;
  const hasMetric = scratch.u8(count);
  for (let i = 0; i < count; i++) hasMetric[i] = rows[i]! < 0 ? 0 : 1;
  const keysAt = (keys: Uint32Array): VectorData => ({
    kind: 'fixed',
    values: wordsAsU64(pickPairs(keys, rows, scratch)),
    validity: hasMetric,
  });
  return [
    fixed(wordsAsU64(pickPairs(ids, points, scratch))),
    keysAt(dimensions.resources.keys),
    keysAt(dimensions.scopes.keys),
    pickStrings(dimensions.services, rows, arena, scratch),
    textsAt(metrics.name, rows, arena),
    numbersAt(metrics.metricType, rows, scratch.u8(count)),
    textsAt(metrics.unit, rows, arena),
    textsAt(metrics.description, rows, arena),
    numbersAt(metrics.aggregationTemporality, rows, scratch.i32(count)),
    numbersAt(metrics.isMonotonic, rows, scratch.u8(count)),
    ...foldAttributes(attributes.table, selectGroups(attributes.groups, points, scratch), arena, scratch),
  ];
}
