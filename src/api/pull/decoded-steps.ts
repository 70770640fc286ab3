/**
 * The steps of a pull as canonical tables: one Arrow stream whose rows are entries and whose columns are lists of a table's rows. An
 * entry that cannot be decoded has the reason in `error`.
 */
import { LIMITS, SIGNALS, signalOfCode } from '../../base/index.ts';
import { END_OF_STREAM, type LogEntry } from '../../log/index.ts';
import { createEntryDecoder, type EntryDecoder } from '../../materialize/index.ts';
import type { CanonicalBatch } from '../../otap/index.ts';
import { segmentEntries } from '../segment-entries.ts';
import { ARROW, type ArrowField, type ArrowNode, batchMessage, schemaMessage } from './arrow-ipc.ts';
import { bytesNode, fixedNode } from './arrow-nodes.ts';
import { nullable } from './decoded-columns.ts';
import { type DecodedTable, decodedTables } from './decoded-tables.ts';
import type { LogPullRequest, Placeable, PullWorkerData, StepWriter } from './types.ts';

/** An entry with what it decoded to. */
interface DecodedEntry {
  readonly entry: LogEntry;
  readonly batch: CanonicalBatch | null;
  readonly error: string | null;
}

/** A writer for one pull. */
export async function createDecodedSteps(
  { logDirectory, logUuid }: PullWorkerData,
  { signal, from }: Pick<LogPullRequest, 'signal' | 'from'>,
): Promise<StepWriter> {
  const decoder = await createEntryDecoder({ readSegment: (segment, end) => entriesOf(logDirectory, segment, end) });
  const only = signal === null ? undefined : signalOfCode(signal);
  const tables = decodedTables(only === undefined ? SIGNALS : [only]);
  const fields = [...ENTRY_COLUMNS.map(({ field }) => field), ...tables.map(({ field }) => field), ERROR_FIELD];
  return {
    head: () => schemaMessage(fields, { 'treasury.log_uuid': logUuid, 'treasury.from': String(from) }),
    *parts(step) {
      for (const entry of step.state) decoder.decode(entry);
      let held: DecodedEntry[] = [];
      let bytes = 0;
      for (const entry of step.entries) {
        const decoded = decode(decoder, entry, tables);
        const more = decoded.batch === null ? 0 : weightOf(decoded.batch, tables);
        if (held.length > 0 && bytes + more > LIMITS.pullDecodedBatchBytes) {
          yield [encode(held, tables)];
          held = [];
          bytes = 0;
        }
        held.push(decoded);
        bytes += more;
      }
      return held.length > 0 ? [encode(held, tables)] : [];
    },
    tail: () => [END_OF_STREAM],
  };
}

/** About what a row takes besides its text. */
const ROW_BYTES = 64;

const ERROR_FIELD = nullable('error', ARROW.utf8);

function decode(decoder: EntryDecoder, entry: LogEntry, tables: readonly DecodedTable[]): DecodedEntry {
  const found = decoder.decode(entry);
  if (found === null) return { entry, batch: null, error: null };
  if (typeof found === 'string') return { entry, batch: null, error: found };
  const textBytes = Math.max(...tables.map((table) => table.textBytes(found)));
  if (textBytes <= LIMITS.arenaBytesMax) return { entry, batch: found, error: null };
  return { entry, batch: null, error: `Cannot encode the entry: one of its columns is ${textBytes} bytes` };
}

function weightOf(batch: CanonicalBatch, tables: readonly DecodedTable[]): number {
  return tables.reduce((sum, table) => sum + table.textBytes(batch) + ROW_BYTES * table.rows(batch), 0);
}

function encode(rows: readonly DecodedEntry[], tables: readonly DecodedTable[]): Placeable {
  const entries = rows.map(({ entry }) => entry);
  const batches = rows.map(({ batch }) => batch);
  const nodes = [
    ...ENTRY_COLUMNS.map((column) => column.node(entries)),
    ...tables.map((table) => table.node(batches)),
    textNode(rows.map(({ error }) => error)),
  ];
  return batchMessage(nodes, rows.length);
}

interface EntryColumn {
  readonly field: ArrowField;
  node(entries: readonly LogEntry[]): ArrowNode;
}

/** The columns of the log but for the record and its check sum. */
const ENTRY_COLUMNS: readonly EntryColumn[] = [
  longs('offset', ARROW.int(64, false), ({ offset }) => offset),
  longs('received_at', ARROW.timestampUtc, ({ receivedAtUnixNano }) => receivedAtUnixNano),
  longs('stream_id', ARROW.int(64, false), ({ streamId }) => streamId),
  {
    field: required('stream_seq', ARROW.int(32, false)),
    node: (entries) => plainNode(Uint32Array.from(entries, ({ streamSeq }) => streamSeq)),
  },
  longs('batch_id', ARROW.int(64, true), ({ batchId }) => batchId),
  bytes('signal', ({ signal }) => signal),
  bytes('kind', ({ kind }) => kind),
  bytes('flags', ({ flags }) => flags),
  {
    field: required('headers', ARROW.utf8),
    node: (entries) => textNode(entries.map(({ headers }) => headersText(headers))),
  },
];

function required(name: string, type: ArrowField['type']): ArrowField {
  return { name, type, isNullable: false };
}

function longs(name: string, type: ArrowField['type'], get: (entry: LogEntry) => bigint): EntryColumn {
  return {
    field: required(name, type),
    node: (entries) => plainNode(BigInt64Array.from(entries, (entry) => BigInt.asIntN(64, get(entry)))),
  };
}

function bytes(name: string, get: (entry: LogEntry) => number): EntryColumn {
  return { field: required(name, ARROW.int(8, false)), node: (entries) => plainNode(Uint8Array.from(entries, get)) };
}

function plainNode(values: Uint8Array | Uint32Array | BigInt64Array): ArrowNode {
  return fixedNode([{ column: { values, validity: null }, rowCount: values.length }], () => values);
}

function headersText(headers: ReadonlyMap<string, string>): string {
  return headers.size === 0 ? '' : JSON.stringify(Object.fromEntries(headers));
}

function textNode(texts: readonly (string | null)[]): ArrowNode {
  const encoded = texts.map((text) => Buffer.from(text ?? ''));
  const offsets = new Int32Array(texts.length + 1);
  encoded.forEach((text, row) => {
    offsets[row + 1] = offsets[row]! + text.length;
  });
  const pool = { bytes: Buffer.concat(encoded), offsets, length: texts.length };
  const validity = Uint8Array.from(texts, (text) => (text === null ? 0 : 1));
  return bytesNode([{ column: { kind: 'utf8', pool, indices: null, validity }, rowCount: texts.length }]);
}

/** All entries of the segment below `end` are durable. */
function entriesOf(directory: string, segment: bigint, end: bigint): Generator<LogEntry> {
  return segmentEntries(directory, segment, end, {
    durableOffset: end,
    segment,
    segmentBytes: Number.MAX_SAFE_INTEGER,
  });
}
