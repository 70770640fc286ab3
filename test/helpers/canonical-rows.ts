/** Canonical batches as the rows that `expectedRows` makes of OTLP: joins children to parents by id, reads every cell. */
import {
  type AttributesTable,
  type BytesColumn,
  type CanonicalBatch,
  type CborValue,
  decodeCbor,
  type ExemplarsTable,
  type IdentifierColumn,
  type LogsBatch,
  type MetricsBatch,
  METRIC_TYPES,
  type RootColumns,
  type TracesBatch,
  VALUE_TYPES,
  type ValueColumns,
} from '../../src/otap/index.ts';
import {
  doubleText,
  type Pair,
  sortCanonical,
  sortPairs,
  type TelemetryRow,
  type TypedValue,
  unsignedText,
} from './telemetry-rows.ts';

/**
 * All rows of a batch: logs, spans, points, and metrics without points. `exact` as in `expectedRows`: metrics with their metadata, ids
 * of zeros as they are.
 */
export function canonicalRows(batch: CanonicalBatch, { exact = false }: { exact?: boolean } = {}): TelemetryRow[] {
  if (batch.signal === 'logs') return logRows(batch, exact);
  return batch.signal === 'traces' ? spanRows(batch, exact) : metricRows(batch, exact);
}

function logRows(batch: LogsBatch, exact: boolean): TelemetryRow[] {
  const { logs } = batch;
  const attributes = attributesByParent(batch.logAttrs);
  const root = rootRows(logs, batch);
  return rowsOf(logs.rowCount, (row) => ({
    kind: 'log',
    ...root(row),
    time: time(logs.timeUnixNano, row),
    observed: time(logs.observedTimeUnixNano, row),
    severity: number(logs.severityNumber, row),
    severity_text: text(logs.severityText, row),
    body: logs.body === null ? null : sortPairs([['', typedValue(logs.body, row)]])[0]![1],
    attributes: attributes(idOf(logs.id, row)),
    dropped: number(logs.droppedAttributesCount, row),
    flags: number(logs.flags, row),
    trace_id: identifier(logs.traceId, row, exact),
    span_id: identifier(logs.spanId, row, exact),
    event_name: text(logs.eventName, row),
  }));
}

function spanRows(batch: TracesBatch, exact: boolean): TelemetryRow[] {
  const { spans, spanEvents, spanLinks } = batch;
  const attributes = attributesByParent(batch.spanAttrs);
  const eventAttributes = attributesByParent(batch.spanEventAttrs);
  const linkAttributes = attributesByParent(batch.spanLinkAttrs);
  const root = rootRows(spans, batch);
  const events = childrenByParent(spanEvents, (table, row) => ({
    time: time(table.timeUnixNano, row),
    name: text(table.name, row),
    attributes: eventAttributes(idOf(table.id, row)),
    dropped: number(table.droppedAttributesCount, row),
  }));
  const links = childrenByParent(spanLinks, (table, row) => ({
    trace_id: identifier(table.traceId, row, exact),
    span_id: identifier(table.spanId, row, exact),
    trace_state: text(table.traceState, row),
    flags: number(table.flags, row),
    attributes: linkAttributes(idOf(table.id, row)),
    dropped: number(table.droppedAttributesCount, row),
  }));
  return rowsOf(spans.rowCount, (row) => {
    const start = spans.startTimeUnixNano?.values[row] ?? 0n;
    const id = idOf(spans.id, row);
    return {
      kind: 'span',
      ...root(row),
      trace_id: identifier(spans.traceId, row, exact),
      span_id: identifier(spans.spanId, row, exact),
      parent_span_id: identifier(spans.parentSpanId, row, exact),
      trace_state: text(spans.traceState, row),
      name: text(spans.name, row),
      span_kind: number(spans.kind, row),
      start: unsignedText(start),
      end: unsignedText(start + (spans.durationTimeUnixNano?.values[row] ?? 0n)),
      flags: number(spans.flags, row),
      status: number(spans.statusCode, row),
      status_message: text(spans.statusMessage, row),
      attributes: attributes(id),
      dropped: number(spans.droppedAttributesCount, row),
      dropped_events: number(spans.droppedEventsCount, row),
      dropped_links: number(spans.droppedLinksCount, row),
      events: sortCanonical(events(id)),
      links: sortCanonical(links(id)),
    };
  });
}

const METRIC_TYPE_NAMES = {
  [METRIC_TYPES.EMPTY]: 'empty',
  [METRIC_TYPES.GAUGE]: 'gauge',
  [METRIC_TYPES.SUM]: 'sum',
  [METRIC_TYPES.HISTOGRAM]: 'histogram',
  [METRIC_TYPES.EXP_HISTOGRAM]: 'exponentialHistogram',
  [METRIC_TYPES.SUMMARY]: 'summary',
};

function metricRows(batch: MetricsBatch, exact: boolean): TelemetryRow[] {
  const { metrics } = batch;
  const root = rootRows(metrics, batch);
  const metadata = attributesByParent(batch.metricAttrs);
  const points = pointsByParent(batch, exact);
  return rowsOf(metrics.rowCount, (row) => {
    const type = number(metrics.metricType, row) as keyof typeof METRIC_TYPE_NAMES;
    const parent = {
      ...root(row),
      metric: {
        name: text(metrics.name, row),
        description: text(metrics.description, row),
        unit: text(metrics.unit, row),
        type: METRIC_TYPE_NAMES[type],
        temporality: number(metrics.aggregationTemporality, row),
        monotonic: number(metrics.isMonotonic, row) === 1,
        ...(exact ? { metadata: metadata(idOf(metrics.id, row)) } : {}),
      },
    };
    const found = points.flatMap((pointsOf) => pointsOf(idOf(metrics.id, row)));
    if (found.length === 0) return [{ kind: 'metric', ...parent }];
    return found.map((point) => ({ kind: 'point', ...parent, point }));
  }).flat();
}

function pointsByParent(batch: MetricsBatch, exact: boolean): ((id: number | null) => TelemetryRow[])[] {
  const numberExemplars = exemplarsByParent(batch.numberDpExemplars, batch.numberDpExemplarAttrs, exact);
  const histogramExemplars = exemplarsByParent(batch.histogramDpExemplars, batch.histogramDpExemplarAttrs, exact);
  const expExemplars = exemplarsByParent(batch.expHistogramDpExemplars, batch.expHistogramDpExemplarAttrs, exact);
  const numberAttributes = attributesByParent(batch.numberDpAttrs);
  const summaryAttributes = attributesByParent(batch.summaryDpAttrs);
  const histogramAttributes = attributesByParent(batch.histogramDpAttrs);
  const expAttributes = attributesByParent(batch.expHistogramDpAttrs);
  return [
    childrenByParent(batch.numberDataPoints, (table, row) => ({
      ...pointBase(table, row, numberAttributes),
      value: numberValue(table, row),
      exemplars: numberExemplars(idOf(table.id, row)),
    })),
    childrenByParent(batch.summaryDataPoints, (table, row) => ({
      ...pointBase(table, row, summaryAttributes),
      count: time(table.count, row),
      sum: doubleText(number(table.sum, row)),
      quantiles: list(table.quantiles, row, doubleText).map((quantile, i) => [
        quantile,
        list(table.quantileValues, row, doubleText)[i],
      ]),
    })),
    childrenByParent(batch.histogramDataPoints, (table, row) => ({
      ...pointBase(table, row, histogramAttributes),
      ...histogramBase(table, row),
      buckets: list(table.bucketCounts, row, unsignedText),
      bounds: list(table.explicitBounds, row, doubleText),
      exemplars: histogramExemplars(idOf(table.id, row)),
    })),
    childrenByParent(batch.expHistogramDataPoints, (table, row) => ({
      ...pointBase(table, row, expAttributes),
      ...histogramBase(table, row),
      scale: number(table.scale, row),
      zero_count: time(table.zeroCount, row),
      zero_threshold: doubleText(number(table.zeroThreshold, row)),
      positive: {
        offset: number(table.positiveOffset, row),
        buckets: list(table.positiveBucketCounts, row, unsignedText),
      },
      negative: {
        offset: number(table.negativeOffset, row),
        buckets: list(table.negativeBucketCounts, row, unsignedText),
      },
      exemplars: expExemplars(idOf(table.id, row)),
    })),
  ];
}

type AttributesOf = (id: number | null) => Pair[];
type Numbers = { readonly values: ArrayLike<number>; readonly validity: Uint8Array | null };
type Integers = { readonly values: ArrayLike<bigint>; readonly validity: Uint8Array | null };

interface PointColumns {
  readonly id: Numbers | null;
  readonly startTimeUnixNano: Integers | null;
  readonly timeUnixNano: Integers | null;
  readonly flags: Numbers | null;
}

function pointBase(table: PointColumns, row: number, attributes: AttributesOf) {
  return {
    attributes: attributes(idOf(table.id, row)),
    start: time(table.startTimeUnixNano, row),
    time: time(table.timeUnixNano, row),
    flags: number(table.flags, row),
  };
}

function histogramBase(
  table: { readonly count: Integers | null; sum: Numbers | null; min: Numbers | null; max: Numbers | null },
  row: number,
) {
  return {
    count: time(table.count, row),
    sum: optionalDouble(table.sum, row),
    min: optionalDouble(table.min, row),
    max: optionalDouble(table.max, row),
  };
}

function exemplarsByParent(table: ExemplarsTable | null, attributes: AttributesTable | null, exact: boolean) {
  const attributesOf = attributesByParent(attributes);
  const exemplars = childrenByParent(table, (columns, row) => ({
    time: time(columns.timeUnixNano, row),
    value: numberValue(columns, row),
    trace_id: identifier(columns.traceId, row, exact),
    span_id: identifier(columns.spanId, row, exact),
    attributes: attributesOf(idOf(columns.id, row)),
  }));
  return (id: number | null) => sortCanonical(exemplars(id));
}

function rootRows(table: RootColumns, batch: CanonicalBatch) {
  const resourceAttributes = attributesByParent(batch.resourceAttrs);
  const scopeAttributes = attributesByParent(batch.scopeAttrs);
  return (row: number) => ({
    resource: {
      attributes: resourceAttributes(idOf(table.resourceId, row)),
      dropped: number(table.resourceDroppedAttributesCount, row),
      schema_url: text(table.resourceSchemaUrl, row),
    },
    scope: {
      name: text(table.scopeName, row),
      version: text(table.scopeVersion, row),
      attributes: scopeAttributes(idOf(table.scopeId, row)),
      dropped: number(table.scopeDroppedAttributesCount, row),
      schema_url: text(table.schemaUrl, row),
    },
  });
}

function attributesByParent(table: AttributesTable | null): AttributesOf {
  const byParent = new Map<number, Pair[]>();
  for (let row = 0; row < (table?.rowCount ?? 0); row++) {
    const parent = table!.parentId[row]!;
    const pairs = byParent.get(parent) ?? [];
    pairs.push([text(table!.key, row), typedValue(table!, row)]);
    byParent.set(parent, pairs);
  }
  return (id) => sortPairs(id === null ? [] : (byParent.get(id) ?? []));
}

interface ChildTable {
  readonly rowCount: number;
  readonly parentId: { readonly values: ArrayLike<number> };
}

function childrenByParent<Table extends ChildTable>(
  table: Table | null,
  read: (table: Table, row: number) => TelemetryRow,
) {
  const byParent = new Map<number, number[]>();
  for (let row = 0; row < (table?.rowCount ?? 0); row++) {
    const parent = table!.parentId.values[row]!;
    const rows = byParent.get(parent) ?? [];
    rows.push(row);
    byParent.set(parent, rows);
  }
  return (id: number | null) => (id === null ? [] : (byParent.get(id) ?? []).map((row) => read(table!, row)));
}

function typedValue(values: ValueColumns, row: number): TypedValue {
  switch (values.type[row]) {
    case VALUE_TYPES.STR:
      return { s: text(values.str, row) };
    case VALUE_TYPES.INT:
      return { i: String(values.int?.values[row] ?? 0n) };
    case VALUE_TYPES.DOUBLE:
      return { d: doubleText(number(values.double, row)) };
    case VALUE_TYPES.BOOL:
      return { b: number(values.bool, row) === 1 };
    case VALUE_TYPES.BYTES:
      return { x: bytes(values.bytes, row).toString('hex') };
    case VALUE_TYPES.MAP:
    case VALUE_TYPES.SLICE:
      return cborTyped(decodeCbor(bytes(values.ser, row)));
    default:
      return null;
  }
}

function cborTyped(value: CborValue): TypedValue {
  if (value === null) return null;
  if (typeof value === 'string') return { s: value };
  if (typeof value === 'bigint') return { i: String(value) };
  if (typeof value === 'number') return { d: doubleText(value) };
  if (typeof value === 'boolean') return { b: value };
  if (value instanceof Uint8Array) return { x: Buffer.from(value).toString('hex') };
  if ('entries' in value && Array.isArray(value.entries)) {
    return { m: value.entries.map(([key, item]) => [key as string, cborTyped(item)] as Pair) };
  }
  return { a: (value as readonly CborValue[]).map(cborTyped) };
}

function numberValue(
  table: { readonly intValue: Integers | null; readonly doubleValue: Numbers | null },
  row: number,
): TypedValue {
  if (isPresent(table.intValue, row)) return { i: String(table.intValue!.values[row]) };
  return isPresent(table.doubleValue, row) ? { d: doubleText(table.doubleValue!.values[row]!) } : null;
}

function rowsOf<Row>(count: number, read: (row: number) => Row): Row[] {
  return Array.from({ length: count }, (_, row) => read(row));
}

function isPresent(column: { readonly validity: Uint8Array | null } | null, row: number): boolean {
  return column !== null && (column.validity === null || column.validity[row] !== 0);
}

function idOf(column: Numbers | null, row: number): number | null {
  return isPresent(column, row) ? column!.values[row]! : null;
}

function number(column: Numbers | null, row: number): number {
  return column?.values[row] ?? 0;
}

function time(column: Integers | null, row: number): string {
  return unsignedText(column?.values[row] ?? 0n);
}

function optionalDouble(column: Numbers | null, row: number): string | null {
  return isPresent(column, row) ? doubleText(column!.values[row]!) : null;
}

/** All zeros is how the Go exporter writes no id. */
function identifier(column: IdentifierColumn | null, row: number, exact: boolean): string {
  if (!isPresent(column, row)) return '';
  const { values, width } = column!;
  const hex = Buffer.from(values.subarray(row * width, (row + 1) * width)).toString('hex');
  return !exact && /^0+$/.test(hex) ? '' : hex;
}

function bytes(column: BytesColumn | null, row: number): Buffer {
  if (!isPresent(column, row)) return Buffer.alloc(0);
  const { pool, indices } = column!;
  const entry = indices === null ? row : indices[row]!;
  return Buffer.from(pool.bytes.subarray(pool.offsets[entry], pool.offsets[entry + 1]));
}

function text(column: BytesColumn | null, row: number): string {
  return bytes(column, row).toString('utf8');
}

function list<Item extends number | bigint>(
  column: { readonly values: ArrayLike<Item>; readonly offsets: ArrayLike<number> } | null,
  row: number,
  format: (item: Item) => string,
): string[] {
  if (column === null) return [];
  const items: string[] = [];
  for (let at = column.offsets[row]!; at < column.offsets[row + 1]!; at++) items.push(format(column.values[at]!));
  return items;
}
