/** Number and summary data points as OTLP messages, and what data points of all kinds share. */
import type { AttributesTable, ExemplarsTable, MetricsBatch } from './canonical.ts';
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
  if (table === null) return { points: null, all: children.all };
  const { attributes, exemplars } = children;
  const time = Words.of(table.timeUnixNano);
  const startTime = Words.of(table.startTimeUnixNano);
  const value = numberWords(table);
  const points = new ChildEncoder(output, ChildRows.of(table), (row) => {
    const id = idAt(table.id, row);
    putUint32(output, NUMBER.FLAGS, table.flags, row);
    attributes?.put(NUMBER.ATTRIBUTES, id);
    exemplars?.put(NUMBER.EXEMPLARS, id);
    putNumberValue(output, NUMBER, value, row);
    putFixed64(output, NUMBER.TIME_UNIX_NANO, time, row);
    putFixed64(output, NUMBER.START_TIME_UNIX_NANO, startTime, row);
  });
  return { points, all: [points, ...children.all] };
}

export function summaryPointsEncoder(output: BackwardOutput, batch: MetricsBatch): PointsEncoder {
  const table = batch.summaryDataPoints;
  const attributes = AttributesEncoder.of(output, batch.summaryDpAttrs);
  if (table === null) return { points: null, all: [attributes] };
  const time = Words.of(table.timeUnixNano);
  const startTime = Words.of(table.startTimeUnixNano);
  const count = Words.of(table.count);
  const sum = Words.of(table.sum);
  const quantiles = WordLists.of(table.quantiles);
  const quantileValues = WordLists.of(table.quantileValues);
  const points = new ChildEncoder(output, ChildRows.of(table), (row) => {
    putUint32(output, SUMMARY.FLAGS, table.flags, row);
    attributes?.put(SUMMARY.ATTRIBUTES, idAt(table.id, row));
    putQuantiles(output, quantiles, quantileValues, row);
    putFixed64(output, SUMMARY.SUM, sum, row);
    putFixed64(output, SUMMARY.COUNT, count, row);
    putFixed64(output, SUMMARY.TIME_UNIX_NANO, time, row);
    putFixed64(output, SUMMARY.START_TIME_UNIX_NANO, startTime, row);
  });
  return { points, all: [points, attributes] };
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
