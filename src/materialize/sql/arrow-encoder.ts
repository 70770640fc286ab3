/**
 * Arrow IPC streams written straight from result columns: one copy of each buffer into its message.
 * Source: https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format
 */
import { encodeFlatBuffer, type FlatField } from '../../base/index.ts';
import { arrowField } from './arrow-fields.ts';
import type { ResultColumn } from './columns.ts';
import type { AnswerColumn, AnswerEncoder } from './encoder.ts';

/** Rows of a record batch: large enough that a reader's work a batch does not show, small enough to be held a few times. */
const BATCH_ROWS_MAX = 65_536;
/** Data of a record batch; wide rows reach it first. */
const BATCH_BYTES_MAX = 8 * 1024 * 1024;

/** Metadata key of the last (empty) batch of an answer that the row limit has cut. Its value is `true`. */
const TRUNCATED_KEY = 'treasury.truncated';

/** Encodes schema, record batches and the end of the stream. With `bytesMax` batches end by it alone. */
export function createArrowEncoder(columns: readonly AnswerColumn[], bytesMax?: number): AnswerEncoder {
  const data = columns.map((column) => column.data);
  return {
    batchRowsMax: bytesMax === undefined ? BATCH_ROWS_MAX : Number.MAX_SAFE_INTEGER,
    batchBytesMax: bytesMax ?? BATCH_BYTES_MAX,
    head: () => schemaMessage(columns),
    batch: (rowCount) => batchMessage(data, rowCount, null),
    tail({ truncated }) {
      const end = new Uint8Array(Uint32Array.of(CONTINUATION, 0).buffer);
      if (!truncated) return end;
      for (const column of data) column.reset();
      return joined([batchMessage(data, 0, { [TRUNCATED_KEY]: 'true' }), end]);
    },
  };
}

const CONTINUATION = 0xff_ff_ff_ff;
const PREFIX_BYTES = 8;
const METADATA_V5 = 4;
const HEADER_SCHEMA = 1;
const HEADER_RECORD_BATCH = 3;

function schemaMessage(columns: readonly AnswerColumn[]): Uint8Array {
  const fields = columns.map(({ name, type }) => arrowField(name, type));
  return message(HEADER_SCHEMA, [null, { kind: 'tables', items: fields }], 0, null);
}

function batchMessage(
  columns: readonly ResultColumn[],
  rowCount: number,
  metadata: Readonly<Record<string, string>> | null,
): Uint8Array {
  const body = new BatchBody();
  for (const column of columns) body.add(column);
  const header: FlatField[] = [
    { kind: 'i64', value: rowCount },
    { kind: 'pairs', values: body.nodes },
    { kind: 'pairs', values: body.ranges },
  ];
  const bytes = message(HEADER_RECORD_BATCH, header, body.length, metadata);
  body.copyTo(bytes, bytes.length - body.length);
  return bytes;
}

/** Nodes and buffers of a batch in the order of its schema. */
class BatchBody {
  readonly nodes: number[] = [];
  readonly ranges: number[] = [];
  readonly #buffers: Uint8Array[] = [];
  length = 0;

  add(column: ResultColumn): void {
    this.nodes.push(column.length, column.nullCount);
    this.#push(column.nullCount === 0 ? NO_BYTES : column.validity.subarray(0, (column.length + 7) >> 3));
    for (const buffer of column.buffers) this.#push(buffer);
    for (const child of column.children) this.add(child);
  }

  copyTo(target: Uint8Array, start: number): void {
    this.#buffers.forEach((buffer, index) => {
      const at = start + (this.ranges[index * 2] as number);
      target.set(buffer, at);
    });
  }

  #push(buffer: Uint8Array): void {
    this.ranges.push(this.length, buffer.length);
    this.#buffers.push(buffer);
    this.length += padded(buffer.length);
  }
}

const NO_BYTES = new Uint8Array(0);

/** An encapsulated message with room for its body, which the caller fills. */
function message(
  headerType: number,
  header: readonly FlatField[],
  bodyBytes: number,
  metadata: Readonly<Record<string, string>> | null,
): Uint8Array {
  const flat = encodeFlatBuffer([
    { kind: 'i16', value: METADATA_V5 },
    { kind: 'i8', value: headerType },
    { kind: 'table', fields: header },
    { kind: 'i64', value: bodyBytes },
    metadata === null ? null : { kind: 'tables', items: Object.entries(metadata).map(keyValue) },
  ]);
  const bytes = new Uint8Array(PREFIX_BYTES + flat.length + bodyBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, CONTINUATION, true);
  view.setInt32(4, flat.length, true);
  bytes.set(flat, PREFIX_BYTES);
  return bytes;
}

function keyValue([key, value]: [string, string]): FlatField[] {
  return [
    { kind: 'string', value: key },
    { kind: 'string', value: value },
  ];
}

function padded(bytes: number): number {
  return (bytes + 7) & ~7;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
