/**
 * The canonical form of a batch: one table per payload type, absolute ids, plain columns. OTAP and OTLP both decode to it, every
 * projection reads it, exporters encode from it.
 *
 * Rules that hold for every table:
 * - All columns have `rowCount` rows and start at row 0. A column that is null as a whole was not on the wire: every row has the
 *   default of its type (0, false, empty string, no value).
 * - `validity` is one byte a row: 0 = null, anything else = present; a null `validity` means that no row is null. The value under
 *   a null row is always the type's default, so a reader that does not care may ignore `validity`.
 * - Ids are absolute (delta encodings undone) and valid inside their batch only. A row whose `id` is null has no children.
 * - Times are Unix nanoseconds as the 64 bits of the wire: unsigned in OTLP, kept in BigInt64Array without conversion.
 * - `utf8` columns hold valid UTF-8: invalid bytes were replaced by U+FFFD while decoding and counted in `repairedStrings`.
 */
import type { Signal } from '../base/index.ts';

/** A column of fixed-width values. Booleans are `Uint8Array` of 0 and 1. */
export interface FixedColumn<Values extends ArrayBufferView> {
  readonly values: Values;
  readonly validity: Uint8Array | null;
}

export type U8Column = FixedColumn<Uint8Array>;
export type BoolColumn = FixedColumn<Uint8Array>;
export type U16Column = FixedColumn<Uint16Array>;
export type U32Column = FixedColumn<Uint32Array>;
export type I32Column = FixedColumn<Int32Array>;
export type I64Column = FixedColumn<BigInt64Array>;
export type U64Column = FixedColumn<BigUint64Array>;
export type F64Column = FixedColumn<Float64Array>;

/** Ids of root rows, resources and scopes: OTAP numbers them with 16 bits, OTLP requests may hold more. */
export type IdColumn = U16Column | U32Column;

/** Identifiers of a fixed width (16: trace ids, 8: span ids), big endian as on the wire: row r is at `r * width`. */
export interface IdentifierColumn {
  readonly width: 8 | 16;
  readonly values: Uint8Array;
  readonly validity: Uint8Array | null;
}

/**
 * Byte strings by number: entry i is `bytes[offsets[i] .. offsets[i + 1])`. Append-only: an entry never changes, so columns may
 * share the pool of a dictionary that later batches extend. `bytes` and `offsets` may be replaced by longer copies as it grows:
 * read them from the pool, do not keep them.
 */
export interface BytesPool {
  readonly bytes: Uint8Array;
  readonly offsets: Int32Array | Uint32Array;
  readonly length: number;
}

/**
 * A column of strings or bytes. Row r is pool entry `indices[r]`, or pool entry r when `indices` is null. Under a null row the
 * index is 0, or the entry is empty; the pool may be empty when every row is null.
 */
export interface BytesColumn {
  readonly kind: 'utf8' | 'binary';
  readonly pool: BytesPool;
  readonly indices: Uint8Array | Uint16Array | Uint32Array | null;
  readonly validity: Uint8Array | null;
}

/** Lists of numbers: row r is `values[offsets[r] .. offsets[r + 1])`. Null elements are 0. */
export interface ListColumn<Values extends ArrayBufferView> {
  readonly offsets: Int32Array | Uint32Array;
  readonly values: Values;
  readonly validity: Uint8Array | null;
}

/** Attribute value types (OTAP specification section 5.5.1; the table of its section 5.4 is wrong). */
export const VALUE_TYPES = { EMPTY: 0, STR: 1, INT: 2, DOUBLE: 3, BOOL: 4, MAP: 5, SLICE: 6, BYTES: 7 } as const;

/**
 * An AnyValue column: attributes and log bodies. `type` says per row which of the value columns counts (VALUE_TYPES; EMPTY where
 * the wire had null). A null value under a matching type means the type's default. `ser` holds maps and slices as CBOR (RFC 8949).
 */
export interface ValueColumns {
  readonly type: Uint8Array;
  readonly str: BytesColumn | null;
  readonly int: I64Column | null;
  readonly double: F64Column | null;
  readonly bool: BoolColumn | null;
  readonly bytes: BytesColumn | null;
  readonly ser: BytesColumn | null;
}

/** RESOURCE_ATTRS, SCOPE_ATTRS, LOG_ATTRS and all others of their shape. */
export interface AttributesTable extends ValueColumns {
  readonly rowCount: number;
  /** Id of the row that the attribute belongs to (or resource.id, scope.id). Null rows on the wire are 0 with `parentValidity` 0. */
  readonly parentId: Uint32Array;
  readonly parentValidity: Uint8Array | null;
  readonly key: BytesColumn;
}

/** The columns that logs, spans and metrics share. */
export interface RootColumns {
  readonly rowCount: number;
  readonly id: IdColumn | null;
  readonly resourceId: IdColumn | null;
  readonly resourceSchemaUrl: BytesColumn | null;
  readonly resourceDroppedAttributesCount: U32Column | null;
  readonly scopeId: IdColumn | null;
  readonly scopeName: BytesColumn | null;
  readonly scopeVersion: BytesColumn | null;
  readonly scopeDroppedAttributesCount: U32Column | null;
  /** Schema URL of the scope. */
  readonly schemaUrl: BytesColumn | null;
}

export interface LogsTable extends RootColumns {
  readonly timeUnixNano: I64Column | null;
  readonly observedTimeUnixNano: I64Column | null;
  readonly traceId: IdentifierColumn | null;
  readonly spanId: IdentifierColumn | null;
  readonly severityNumber: I32Column | null;
  readonly severityText: BytesColumn | null;
  readonly body: ValueColumns | null;
  readonly droppedAttributesCount: U32Column | null;
  readonly flags: U32Column | null;
  readonly eventName: BytesColumn | null;
}

export interface SpansTable extends RootColumns {
  readonly startTimeUnixNano: I64Column | null;
  /** End minus start; wraps at 64 bits, may be negative. */
  readonly durationTimeUnixNano: I64Column | null;
  readonly traceId: IdentifierColumn | null;
  readonly spanId: IdentifierColumn | null;
  readonly traceState: BytesColumn | null;
  readonly parentSpanId: IdentifierColumn | null;
  readonly name: BytesColumn | null;
  readonly kind: I32Column | null;
  readonly droppedAttributesCount: U32Column | null;
  readonly droppedEventsCount: U32Column | null;
  readonly droppedLinksCount: U32Column | null;
  readonly statusCode: I32Column | null;
  readonly statusMessage: BytesColumn | null;
  readonly flags: U32Column | null;
}

export interface SpanEventsTable {
  readonly rowCount: number;
  readonly id: U32Column | null;
  readonly parentId: IdColumn;
  readonly timeUnixNano: I64Column | null;
  readonly name: BytesColumn | null;
  readonly droppedAttributesCount: U32Column | null;
}

export interface SpanLinksTable {
  readonly rowCount: number;
  readonly id: U32Column | null;
  readonly parentId: IdColumn;
  readonly traceId: IdentifierColumn | null;
  readonly spanId: IdentifierColumn | null;
  readonly traceState: BytesColumn | null;
  readonly droppedAttributesCount: U32Column | null;
  readonly flags: U32Column | null;
}

/** Metric kinds of UNIVARIATE_METRICS.metric_type. */
export const METRIC_TYPES = { EMPTY: 0, GAUGE: 1, SUM: 2, HISTOGRAM: 3, EXP_HISTOGRAM: 4, SUMMARY: 5 } as const;

export interface MetricsTable extends RootColumns {
  readonly metricType: U8Column | null;
  readonly name: BytesColumn | null;
  readonly description: BytesColumn | null;
  readonly unit: BytesColumn | null;
  readonly aggregationTemporality: I32Column | null;
  readonly isMonotonic: BoolColumn | null;
}

/** The columns that data points of all kinds share. */
export interface DataPointColumns {
  readonly rowCount: number;
  readonly id: U32Column | null;
  /** Id of the metric. */
  readonly parentId: IdColumn;
  readonly startTimeUnixNano: I64Column | null;
  readonly timeUnixNano: I64Column | null;
  readonly flags: U32Column | null;
}

export interface NumberDataPointsTable extends DataPointColumns {
  /** At most one of the two is present in a row; neither is a point without a value. */
  readonly intValue: I64Column | null;
  readonly doubleValue: F64Column | null;
}

export interface SummaryDataPointsTable extends DataPointColumns {
  readonly count: U64Column | null;
  readonly sum: F64Column | null;
  /** Two lists of the same offsets: quantile[i] has value[i]. */
  readonly quantiles: ListColumn<Float64Array> | null;
  readonly quantileValues: ListColumn<Float64Array> | null;
}

export interface HistogramDataPointsTable extends DataPointColumns {
  readonly count: U64Column | null;
  readonly sum: F64Column | null;
  readonly bucketCounts: ListColumn<BigUint64Array> | null;
  readonly explicitBounds: ListColumn<Float64Array> | null;
  readonly min: F64Column | null;
  readonly max: F64Column | null;
}

export interface ExpHistogramDataPointsTable extends DataPointColumns {
  readonly count: U64Column | null;
  readonly sum: F64Column | null;
  readonly scale: I32Column | null;
  readonly zeroCount: U64Column | null;
  readonly positiveOffset: I32Column | null;
  readonly positiveBucketCounts: ListColumn<BigUint64Array> | null;
  readonly negativeOffset: I32Column | null;
  readonly negativeBucketCounts: ListColumn<BigUint64Array> | null;
  readonly min: F64Column | null;
  readonly max: F64Column | null;
  readonly zeroThreshold: F64Column | null;
}

export interface ExemplarsTable {
  readonly rowCount: number;
  readonly id: U32Column | null;
  /** Id of the data point. */
  readonly parentId: U32Column;
  readonly timeUnixNano: I64Column | null;
  readonly intValue: I64Column | null;
  readonly doubleValue: F64Column | null;
  readonly spanId: IdentifierColumn | null;
  readonly traceId: IdentifierColumn | null;
}

export interface LogsBatch extends BatchFacts {
  readonly signal: 'logs';
  readonly logs: LogsTable;
  readonly logAttrs: AttributesTable | null;
}

export interface TracesBatch extends BatchFacts {
  readonly signal: 'traces';
  readonly spans: SpansTable;
  readonly spanAttrs: AttributesTable | null;
  readonly spanEvents: SpanEventsTable | null;
  readonly spanLinks: SpanLinksTable | null;
  readonly spanEventAttrs: AttributesTable | null;
  readonly spanLinkAttrs: AttributesTable | null;
}

export interface MetricsBatch extends BatchFacts {
  readonly signal: 'metrics';
  readonly metrics: MetricsTable;
  readonly metricAttrs: AttributesTable | null;
  readonly numberDataPoints: NumberDataPointsTable | null;
  readonly summaryDataPoints: SummaryDataPointsTable | null;
  readonly histogramDataPoints: HistogramDataPointsTable | null;
  readonly expHistogramDataPoints: ExpHistogramDataPointsTable | null;
  readonly numberDpAttrs: AttributesTable | null;
  readonly summaryDpAttrs: AttributesTable | null;
  readonly histogramDpAttrs: AttributesTable | null;
  readonly expHistogramDpAttrs: AttributesTable | null;
  readonly numberDpExemplars: ExemplarsTable | null;
  readonly histogramDpExemplars: ExemplarsTable | null;
  readonly expHistogramDpExemplars: ExemplarsTable | null;
  readonly numberDpExemplarAttrs: AttributesTable | null;
  readonly histogramDpExemplarAttrs: AttributesTable | null;
  readonly expHistogramDpExemplarAttrs: AttributesTable | null;
}

/** What every batch has: the two tables that all signals share, and what decoding had to mend. */
export interface BatchFacts {
  readonly signal: Signal;
  readonly resourceAttrs: AttributesTable | null;
  readonly scopeAttrs: AttributesTable | null;
  /** Strings whose invalid UTF-8 was replaced while decoding this batch (dictionary entries count where they arrived). */
  readonly repairedStrings: number;
}

/** One decoded log entry. */
export type CanonicalBatch = LogsBatch | TracesBatch | MetricsBatch;
