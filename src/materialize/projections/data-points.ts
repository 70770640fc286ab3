/** The columns of data points of each kind, in the order of their tables. */
import type {
  DataPointColumns,
  ExemplarsTable,
  ExpHistogramDataPointsTable,
  HistogramDataPointsTable,
  NumberDataPointsTable,
  SummaryDataPointsTable,
} from '../../otap/index.ts';
import type { ListVector, VectorData } from '../vectors.ts';
import { constant, defaulted, fixed, ids, NULLS, numberLists, optional, rowNumbers } from './columns.ts';
import { wordsAsU64 } from './identifiers.ts';
import type { ProjectionWriter } from './projection-writer.ts';
import type { Scratch } from './scratch.ts';
import { halves } from './values.ts';

const NO_COUNTS = new BigUint64Array(0);
const NO_DOUBLES = new Float64Array(0);
const TWO_32 = 4294967296;

/** entry_offset, row, id, parent_id, series_id, time, start_time, flags. */
export function pointColumns(writer: ProjectionWriter, points: DataPointColumns, seriesIds: Uint32Array): VectorData[] {
  return [
    constant(writer.entryOffset),
    rowNumbers(points.rowCount, 0, writer.scratch),
    optional(points.id),
    ids(points.parentId, writer.scratch),
    fixed(wordsAsU64(seriesIds)),
    defaulted(points.timeUnixNano, 0n),
    defaulted(points.startTimeUnixNano, 0n),
    defaulted(points.flags, 0),
  ];
}

/** value, int_value: integers are in both, so that a reader of `value` sees every number. */
export function valueColumns(
  points: Pick<NumberDataPointsTable | ExemplarsTable, 'intValue' | 'doubleValue' | 'rowCount'>,
  scratch: Scratch,
): VectorData[] {
  const { intValue, doubleValue, rowCount } = points;
  if (intValue === null) return [optional(doubleValue), NULLS];
  const words = halves(intValue.values);
  const values = scratch.f64(rowCount);
  const validity = scratch.u8(rowCount);
  let validCount = 0;
  for (let row = 0; row < rowCount; row++) {
    if (intValue.validity === null || intValue.validity[row] !== 0) {
      values[row] = (words[2 * row + 1]! | 0) * TWO_32 + words[2 * row]!;
    } else if (doubleValue !== null && (doubleValue.validity === null || doubleValue.validity[row] !== 0)) {
      values[row] = doubleValue.values[row]!;
    } else {
      continue;
    }
    validity[row] = 1;
    validCount++;
  }
  return [{ kind: 'fixed', values, validity: validCount === rowCount ? null : validity }, optional(intValue)];
}

/** count, sum, min, max, bucket_counts, explicit_bounds. */
export function histogramColumns(points: HistogramDataPointsTable, scratch: Scratch): VectorData[] {
  const { rowCount } = points;
  return [
    defaulted(points.count, 0n),
    optional(points.sum),
    optional(points.min),
    optional(points.max),
    numberLists(points.bucketCounts, NO_COUNTS, rowCount, scratch),
    numberLists(points.explicitBounds, NO_DOUBLES, rowCount, scratch),
  ];
}

/** count, sum, min, max, scale, zero_count, zero_threshold, positive and negative offset and bucket counts. */
export function expHistogramColumns(points: ExpHistogramDataPointsTable, scratch: Scratch): VectorData[] {
  const { rowCount } = points;
  return [
    defaulted(points.count, 0n),
    optional(points.sum),
    optional(points.min),
    optional(points.max),
    defaulted(points.scale, 0),
    defaulted(points.zeroCount, 0n),
    defaulted(points.zeroThreshold, 0),
    defaulted(points.positiveOffset, 0),
    numberLists(points.positiveBucketCounts, NO_COUNTS, rowCount, scratch),
    defaulted(points.negativeOffset, 0),
    numberLists(points.negativeBucketCounts, NO_COUNTS, rowCount, scratch),
  ];
}

/** count, sum, quantiles. */
export function summaryColumns(points: SummaryDataPointsTable, scratch: Scratch): VectorData[] {
  const { rowCount } = points;
  const quantiles = numberLists(points.quantiles, NO_DOUBLES, rowCount, scratch);
  const values = numberLists(points.quantileValues, NO_DOUBLES, rowCount, scratch);
  // A column that was not on the wire is 0 in every pair of the other one.
  const children = [
    points.quantiles === null ? constant(0) : quantiles.child,
    points.quantileValues === null ? constant(0) : values.child,
  ];
  const pairs: ListVector = {
    kind: 'list',
    offsets: points.quantiles === null ? values.offsets : quantiles.offsets,
    child: { kind: 'struct', children, validity: null },
    validity: null,
  };
  return [defaulted(points.count, 0n), defaulted(points.sum, 0), pairs];
}
