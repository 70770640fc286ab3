/** Number and summary data points as OTLP messages, and what data points of all kinds share. */
import type { AttributesTable, DataPointColumns, ExemplarsTable, MetricsBatch } from './canonical.ts';
import { ChildRows, idAt } from './child-rows.ts';
import { ChildEncoder } from './otlp-encode-children.ts';
import {
  numberWords,
  putFixed64,
  putIdentifier,
  putNumberValue,
  putUint32,
  tagOf,
  WordLists,
  Words,
} from './otlp-encode-fields.ts';
import { AttributesEncoder } from './otlp-encode-values.ts';
import type { BackwardOutput } from './protobuf-backward-output.ts';

const NUMBER = {
  START_TIME_UNIX_NANO: tagOf(2, 'FIXED64'),
  TIME_UNIX_NANO: tagOf(3, 'FIXED64'),
  AS_DOUBLE: tagOf(4, 'FIXED64'),
  EXEMPLARS: tagOf(5, 'BYTES'),
  AS_INT: tagOf(6, 'FIXED64'),
  ATTRIBUTES: tagOf(7, 'BYTES'),
  FLAGS: tagOf(8, 'VARINT'),
} as const;
const SUMMARY = {
  START_TIME_UNIX_NANO: tagOf(2, 'FIXED64'),
  TIME_UNIX_NANO: tagOf(3, 'FIXED64'),
  COUNT: tagOf(4, 'FIXED64'),
  SUM: tagOf(5, 'FIXED64'),
  QUANTILE_VALUES: tagOf(6, 'BYTES'),
  ATTRIBUTES: tagOf(7, 'BYTES'),
  FLAGS: tagOf(8, 'VARINT'),
} as const;
const QUANTILE = { QUANTILE: tagOf(1, 'FIXED64'), VALUE: tagOf(2, 'FIXED64') } as const;
const EXEMPLAR = {
  TIME_UNIX_NANO: tagOf(2, 'FIXED64'),
  AS_DOUBLE: tagOf(3, 'FIXED64'),
  SPAN_ID: tagOf(4, 'BYTES'),
  TRACE_ID: tagOf(5, 'BYTES'),
  AS_INT: tagOf(6, 'FIXED64'),
  FILTERED_ATTRIBUTES: tagOf(7, 'BYTES'),
} as const;

/** Data points of one kind. */
export interface PointsEncoder {
  /** Null when there are none. */
  readonly points: ChildEncoder | null;
  /** The points, their attributes and exemplars and those's attributes. */
  readonly all: readonly (ChildEncoder | AttributesEncoder | null)[];
}

export function numberPointsEncoder(output: BackwardOutput, batch: MetricsBatch): PointsEncoder {
  const table = batch.numberDataPoints;
  const children = pointChildren(output, batch.numberDpAttrs, batch.numberDpExemplars, batch.numberDpExemplarAttrs);
  const { attributes, exemplars } = children;
  return pointsEncoder(output, table, children, (points, putTimes) => {
    const value = numberWords(points);
    return (row, id) => {
      putUint32(output, NUMBER.FLAGS, points.flags, row);
      attributes?.put(NUMBER.ATTRIBUTES, id);
      exemplars?.put(NUMBER.EXEMPLARS, id);
      putNumberValue(output, NUMBER, value, row);
      putTimes(NUMBER, row);
    };
  });
}

export function summaryPointsEncoder(output: BackwardOutput, batch: MetricsBatch): PointsEncoder {
  const table = batch.summaryDataPoints;
  const children = pointChildren(output, batch.summaryDpAttrs, null, null);
  const { attributes } = children;
  return pointsEncoder(output, table, children, (points, putTimes) => {
    const count = Words.of(points.count);
    const sum = Words.of(points.sum);
    const quantiles = WordLists.of(points.quantiles);
    const quantileValues = WordLists.of(points.quantileValues);
    return (row, id) => {
      putUint32(output, SUMMARY.FLAGS, points.flags, row);
      attributes?.put(SUMMARY.ATTRIBUTES, id);
      putQuantiles(output, quantiles, quantileValues, row);
      putFixed64(output, SUMMARY.SUM, sum, row);
      putFixed64(output, SUMMARY.COUNT, count, row);
      putTimes(SUMMARY, row);
    };
  });
}

/** The two lists have the same offsets; either may be missing. */
function putQuantiles(
  output: BackwardOutput,
  quantiles: WordLists | null,
  values: WordLists | null,
  row: number,
): void {
  const offsets = (quantiles ?? values)?.offsets;
  if (offsets === undefined) return;
  const start = offsets[row]!;
  for (let at = offsets[row + 1]! - 1; at >= start; at--) {
    const before = output.length;
    putFixed64(output, QUANTILE.VALUE, values, at);
    putFixed64(output, QUANTILE.QUANTILE, quantiles, at);
    output.close(before, SUMMARY.QUANTILE_VALUES);
  }
}

interface PointChildren {
  readonly attributes: AttributesEncoder | null;
  readonly exemplars: ChildEncoder | null;
  readonly all: PointsEncoder['all'];
}

type TimeTags = Readonly<Record<'TIME_UNIX_NANO' | 'START_TIME_UNIX_NANO', number>>;
type PutTimes = (tags: TimeTags, row: number) => void;

/**
 * The encoder of data points of one kind. `open` is called when there are points, with what writes their times, and returns what writes
 * the content of the point in a row that has an id.
 */
export function pointsEncoder<Table extends DataPointColumns>(
  output: BackwardOutput,
  table: Table | null,
  { all }: PointChildren,
  open: (table: Table, putTimes: PutTimes) => (row: number, id: number) => void,
): PointsEncoder {
  if (table === null) return { points: null, all };
  const time = Words.of(table.timeUnixNano);
  const startTime = Words.of(table.startTimeUnixNano);
  const putContent = open(table, (tags, row) => {
    putFixed64(output, tags.TIME_UNIX_NANO, time, row);
    putFixed64(output, tags.START_TIME_UNIX_NANO, startTime, row);
  });
  const points = new ChildEncoder(output, ChildRows.of(table), (row) => putContent(row, idAt(table.id, row)));
  return { points, all: [points, ...all] };
}

/** Attributes and exemplars of data points. */
export function pointChildren(
  output: BackwardOutput,
  attrs: AttributesTable | null,
  table: ExemplarsTable | null,
  exemplarAttrs: AttributesTable | null,
): PointChildren {
  const attributes = AttributesEncoder.of(output, attrs);
  const filteredAttributes = AttributesEncoder.of(output, exemplarAttrs);
  if (table === null) return { attributes, exemplars: null, all: [attributes, filteredAttributes] };
  const time = Words.of(table.timeUnixNano);
  const value = numberWords(table);
  const exemplars = new ChildEncoder(output, ChildRows.of(table), (row) => {
    filteredAttributes?.put(EXEMPLAR.FILTERED_ATTRIBUTES, idAt(table.id, row));
    putNumberValue(output, EXEMPLAR, value, row);
    putIdentifier(output, EXEMPLAR.TRACE_ID, table.traceId, row);
    putIdentifier(output, EXEMPLAR.SPAN_ID, table.spanId, row);
    putFixed64(output, EXEMPLAR.TIME_UNIX_NANO, time, row);
  });
  return { attributes, exemplars, all: [attributes, exemplars, filteredAttributes] };
}
