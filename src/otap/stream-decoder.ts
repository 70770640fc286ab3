/** OTAP batches to canonical tables: the decoding end of a stream (StreamDecoder of stream-types.ts). */
import { BatchMalformedError, errorMessage, LIMITS, type Signal } from '../base/index.ts';
import { decodeRecordBatch } from './arrow-fragment-decoder.ts';
import { type EnvelopePayload, scanBatchEnvelope } from './batch-envelope.ts';
import type { AttributesTable, CanonicalBatch, ExemplarsTable } from './canonical.ts';
import { createDecodeBudget } from './decode-budget.ts';
import { type PayloadName, payloadName, SIGNAL_PAYLOADS } from './payload-types.ts';
import { readAttributesTable } from './read-attributes-table.ts';
import {
  readExemplarsTable,
  readExpHistogramDataPoints,
  readHistogramDataPoints,
  readNumberDataPoints,
  readSummaryDataPoints,
} from './read-data-points.ts';
import { readLogsTable } from './read-logs-table.ts';
import { readMetricsTable } from './read-metrics-table.ts';
import { readSpanEventsTable, readSpanLinksTable, readSpansTable } from './read-spans-table.ts';
import { type BatchWork, type PayloadRows, StreamState } from './stream-state.ts';
import type { StreamDecoder } from './stream-types.ts';
import { type TableColumns, tableColumns } from './table-columns.ts';

/**
 * A decoder for a stream of `signal`. `initZstd()` must have settled. Columns of a decoded batch may be views into the record that
 * was passed: do not change it while the batch is in use.
 */
export function createStreamDecoder(signal: Signal): StreamDecoder {
  const state = new StreamState();
  return {
    signal,
    get stateBytes() {
      return state.bytes;
    },
    restoreState(record) {
      state.clear();
      // One payload for every (payload type, schema id) that the stream has used.
      takeState(state, signal, record, createWork(), LIMITS.streamSchemasMax);
    },
    applyState(record) {
      takeState(state, signal, record, createWork());
    },
    decode(record) {
      const work = createWork();
      return readBatch(signal, decodeTables(takeState(state, signal, record, work), work), work);
    },
  };
}

function createWork(): BatchWork {
  return { budget: createDecodeBudget(LIMITS.batchDecodedBytesMax), repairs: { repairedStrings: 0 } };
}

/** A payload after its state was taken. */
interface TakenPayload extends PayloadRows {
  readonly name: PayloadName;
}

/**
 * Takes the state of all payloads, also of those behind a faulty one: later batches count on it. Throws the first error afterwards.
 */
function takeState(
  state: StreamState,
  signal: Signal,
  message: Uint8Array,
  work: BatchWork,
  payloadsMax: number = LIMITS.batchPayloadsMax,
): TakenPayload[] {
  // Buffers have a slice() of their own meaning: below are plain arrays only.
  const record = new Uint8Array(message.buffer, message.byteOffset, message.byteLength);
  const taken: TakenPayload[] = [];
  const errors: unknown[] = [];
  for (const payload of payloadsOf(state, record, payloadsMax)) {
    try {
      const name = nameOf(payload, signal);
      taken.push({ name, ...state.take(record, payload, name, work) });
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  return taken;
}

function payloadsOf(state: StreamState, record: Uint8Array, payloadsMax: number): readonly EnvelopePayload[] {
  try {
    return scanBatchEnvelope(record, payloadsMax).payloads;
  } catch (error) {
    state.loseAll(errorMessage(error));
    throw error;
  }
}

function nameOf(payload: EnvelopePayload, signal: Signal): PayloadName {
  const name = payloadName(payload.type);
  if (name === undefined || !SIGNAL_PAYLOADS[signal].includes(name)) {
    throw new BatchMalformedError(`Cannot decode a batch of ${signal}: payload type is ${name ?? payload.type}`, {
      payloadType: name ?? payload.type,
    });
  }
  return name;
}

type Tables = ReadonlyMap<PayloadName, TableColumns>;

function decodeTables(payloads: readonly TakenPayload[], work: BatchWork): Tables {
  const tables = new Map<PayloadName, TableColumns>();
  for (const { name, state, rows } of payloads) {
    if (rows === null) {
      throw new BatchMalformedError(`Cannot decode ${name}: it has no record batch`, { payloadType: name });
    }
    if (tables.has(name))
      throw new BatchMalformedError(`Cannot decode ${name}: it occurs twice`, { payloadType: name });
    const columns = decodeRecordBatch(state.fields, rows, { payload: name, dictionaries: state.dictionaries, ...work });
    tables.set(name, tableColumns(name, rows.rowCount, state.fields, columns, work.budget));
  }
  return tables;
}

function readBatch(signal: Signal, tables: Tables, work: BatchWork): CanonicalBatch {
  switch (signal) {
    case 'logs':
      return readLogsBatch(tables, work);
    case 'traces':
      return readTracesBatch(tables, work);
    case 'metrics':
      return readMetricsBatch(tables, work);
  }
}

function readLogsBatch(tables: Tables, work: BatchWork): CanonicalBatch {
  return {
    signal: 'logs',
    logs: readLogsTable(rootOf(tables, 'LOGS')),
    logAttrs: attributes(tables, 'LOG_ATTRS'),
    ...sharedTables(tables),
    ...work.repairs,
  };
}

function readTracesBatch(tables: Tables, work: BatchWork): CanonicalBatch {
  return {
    signal: 'traces',
    spans: readSpansTable(rootOf(tables, 'SPANS')),
    spanAttrs: attributes(tables, 'SPAN_ATTRS'),
    spanEvents: optional(tables, 'SPAN_EVENTS', readSpanEventsTable),
    spanLinks: optional(tables, 'SPAN_LINKS', readSpanLinksTable),
    spanEventAttrs: attributes(tables, 'SPAN_EVENT_ATTRS'),
    spanLinkAttrs: attributes(tables, 'SPAN_LINK_ATTRS'),
    ...sharedTables(tables),
    ...work.repairs,
  };
}

function readMetricsBatch(tables: Tables, work: BatchWork): CanonicalBatch {
  return {
    signal: 'metrics',
    metrics: readMetricsTable(rootOf(tables, 'UNIVARIATE_METRICS')),
    metricAttrs: attributes(tables, 'METRIC_ATTRS'),
    numberDataPoints: optional(tables, 'NUMBER_DATA_POINTS', readNumberDataPoints),
    summaryDataPoints: optional(tables, 'SUMMARY_DATA_POINTS', readSummaryDataPoints),
    histogramDataPoints: optional(tables, 'HISTOGRAM_DATA_POINTS', readHistogramDataPoints),
    expHistogramDataPoints: optional(tables, 'EXP_HISTOGRAM_DATA_POINTS', readExpHistogramDataPoints),
    numberDpAttrs: attributes(tables, 'NUMBER_DP_ATTRS'),
    summaryDpAttrs: attributes(tables, 'SUMMARY_DP_ATTRS'),
    histogramDpAttrs: attributes(tables, 'HISTOGRAM_DP_ATTRS'),
    expHistogramDpAttrs: attributes(tables, 'EXP_HISTOGRAM_DP_ATTRS'),
    numberDpExemplars: exemplars(tables, 'NUMBER_DP_EXEMPLARS'),
    histogramDpExemplars: exemplars(tables, 'HISTOGRAM_DP_EXEMPLARS'),
    expHistogramDpExemplars: exemplars(tables, 'EXP_HISTOGRAM_DP_EXEMPLARS'),
    numberDpExemplarAttrs: attributes(tables, 'NUMBER_DP_EXEMPLAR_ATTRS'),
    histogramDpExemplarAttrs: attributes(tables, 'HISTOGRAM_DP_EXEMPLAR_ATTRS'),
    expHistogramDpExemplarAttrs: attributes(tables, 'EXP_HISTOGRAM_DP_EXEMPLAR_ATTRS'),
    ...sharedTables(tables),
    ...work.repairs,
  };
}

function sharedTables(tables: Tables) {
  return { resourceAttrs: attributes(tables, 'RESOURCE_ATTRS'), scopeAttrs: attributes(tables, 'SCOPE_ATTRS') };
}

function rootOf(tables: Tables, name: PayloadName): TableColumns {
  const table = tables.get(name);
  if (table === undefined) {
    throw new BatchMalformedError(`Cannot decode a batch: it has no payload ${name}`, { payloadType: name });
  }
  return table;
}

function attributes(tables: Tables, name: PayloadName): AttributesTable | null {
  return optional(tables, name, readAttributesTable);
}

function exemplars(tables: Tables, name: PayloadName): ExemplarsTable | null {
  return optional(tables, name, readExemplarsTable);
}

function optional<Table>(tables: Tables, name: PayloadName, read: (table: TableColumns) => Table): Table | null {
  const table = tables.get(name);
  return table === undefined ? null : read(table);
}
