/** The columns of data points of each kind, in the order of their tables. */
import type {
  DataPointColumns,
  ExemplarsTable,
  ExpHistogramDataPointsTable,
  HistogramDataPointsTable,
  IdColumn,
  NumberDataPointsTable,
  SummaryDataPointsTable,
} from '../../otap/index.ts';
import type { ListVector, VectorData } from '../vectors.ts';
import { constant, defaulted, fixed, ids, NULLS, numberLists, optional } from './columns.ts';
import { idPlaces, NO_PLACES, rowPlaces } from './places.ts';
import type { ProjectionWriter } from './projection-writer.ts';
import type { Scratch } from './scratch.ts';

const NO_COUNTS = new BigUint64Array(0);
const NO_DOUBLES = new Float64Array(0);

/** Where the points of a batch begin in their table, and its metrics in theirs; null where rows, or parents, are said as they are. */
export interface PointPlaces {
  readonly rowBase: number | null;
  readonly parentBase: number | null;
}

/** entry_offset, series_number, row_shift, id_shift, parent_id, time, start_time, flags. */
export function pointColumns(
  { entryOffset, scratch }: ProjectionWriter,
  points: DataPointColumns,
  seriesNumbers: Uint32Array,
  { rowBase, parentBase }: PointPlaces,
): VectorData[] {
  return [
    constant(entryOffset),
    fixed(seriesNumbers),
    rowBase === null ? rowShifts(seriesNumbers, points.rowCount, scratch) : NULLS,
    idShifts(points.id, points.rowCount, scratch),
    parentBase === null ? ids(points.parentId, scratch) : NULLS,
    defaulted(points.timeUnixNano, 0n),
    defaulted(points.startTimeUnixNano, 0n),
    defaulted(points.flags, 0),
  ];
}

/** row_place, row_base, parent_place, parent_base. */
export function placeColumns(
  points: DataPointColumns,
  { rowBase, parentBase }: PointPlaces,
  scratch: Scratch,
): readonly VectorData[] {
  const { parentId, rowCount } = points;
  return [
    ...(rowBase === null ? NO_PLACES : rowPlaces(rowBase, rowCount, scratch)),
    ...(parentBase === null || parentId === null ? NO_PLACES : idPlaces(parentBase, parentId, scratch)),
  ];
}

/** The number less the row: the same for all points of a request that is sent again and again. */
function rowShifts(seriesNumbers: Uint32Array, rowCount: number, scratch: Scratch): VectorData {
  const shifts = scratch.i32(rowCount);
  for (let row = 0; row < rowCount; row++) shifts[row] = seriesNumbers[row]! - row;
  return fixed(shifts);
}

/** The id less the row, which is mostly 0. Nulls stay null. */
export function idShifts(column: IdColumn | null, rowCount: number, scratch: Scratch): VectorData {
  if (column === null) return NULLS;
  const shifts = scratch.i32(rowCount);
  for (let row = 0; row < rowCount; row++) shifts[row] = column.values[row]! - row;
  return { kind: 'fixed', values: shifts, validity: column.validity };
}

/** value, int_value: an integer is in the second one only. */
export function valueColumns(
  points: Pick<NumberDataPointsTable | ExemplarsTable, 'intValue' | 'doubleValue' | 'rowCount'>,
  scratch: Scratch,
): VectorData[] {
  const { intValue, doubleValue, rowCount } = points;
  if (intValue === null || doubleValue === null) return [optional(doubleValue), optional(intValue)];
  const validity = scratch.u8(rowCount);
  for (let row = 0; row < rowCount; row++) {
    if (intValue.validity === null || intValue.validity[row] !== 0) continue;
    validity[row] = doubleValue.validity === null || doubleValue.validity[row] !== 0 ? 1 : 0;
  }
  return [{ kind: 'fixed', values: doubleValue.values, validity }, optional(intValue)];
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
