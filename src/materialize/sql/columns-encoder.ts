/**
 * Answers as bare columns, for readers in this process: each part is one batch, and typed arrays lie in it ready to be looked at.
 *
 * A batch is the number of rows, then its columns; a column is four 32-bit words (rows, nulls, buffers, children), its validity bitmap when there are nulls, each
 * buffer behind its length, and its children likewise. Every piece begins at a multiple of 8 bytes. Numbers are in the machine's order.
 */
import { TreasuryError } from '../../base/index.ts';
import type { ResultColumn } from './columns.ts';
import type { AnswerColumn, AnswerEncoder } from './encoder.ts';

/** Rows of a batch: 2 MB of a sample's columns, so that few are under way at a time. */
const BATCH_ROWS_MAX = 65_536;
const BATCH_BYTES_MAX = 4 * 1024 * 1024;

const HEAD_BYTES = 8;
const COLUMN_HEAD_BYTES = 16;
const BUFFER_HEAD_BYTES = 8;

export function createColumnsEncoder(columns: readonly AnswerColumn[]): AnswerEncoder {
  return {
    batchRowsMax: BATCH_ROWS_MAX,
    batchBytesMax: BATCH_BYTES_MAX,
    head: () => new Uint8Array(0),
    batch(rowCount) {
      const data = columns.map((column) => column.data);
      const bytes = new Uint8Array(data.reduce((sum, column) => sum + columnBytes(column), HEAD_BYTES));
      new Uint32Array(bytes.buffer)[0] = rowCount;
      data.reduce((at, column) => writeColumn(bytes, at, column), HEAD_BYTES);
      return bytes;
    },
    tail({ truncated }) {
      if (truncated)
        throw new TreasuryError('TREASURY_QUERY_LIMIT', 'Cannot read the columns: there are too many rows');
      return new Uint8Array(0);
    },
  };
}

/** One column of a batch; its arrays are views into the batch. */
export interface ColumnNode {
  readonly length: number;
  /** Null when no row is: a bit a row, the least significant one first. */
  readonly validity: Uint8Array | null;
  readonly buffers: readonly Uint8Array<ArrayBuffer>[];
  readonly children: readonly ColumnNode[];
}

/** Takes a part of an answer apart. */
export function readColumnsBatch(bytes: Uint8Array<ArrayBuffer>): {
  readonly rowCount: number;
  readonly columns: readonly ColumnNode[];
} {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
  const columns: ColumnNode[] = [];
  let at = HEAD_BYTES;
  const take = (size: number): Uint8Array<ArrayBuffer> => {
    const piece = bytes.subarray(at, at + size);
    at += padded(size);
    return piece;
  };
  const readNode = (): ColumnNode => {
    const [length, nulls, bufferCount, childCount] = words.subarray(at >> 2, (at >> 2) + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    at += COLUMN_HEAD_BYTES;
    const validity = nulls === 0 ? null : take((length + 7) >> 3);
    const buffers = Array.from({ length: bufferCount }, () => {
      const size = words[at >> 2]!;
      at += BUFFER_HEAD_BYTES;
      return take(size);
    });
    return { length, validity, buffers, children: Array.from({ length: childCount }, readNode) };
  };
  while (at < bytes.byteLength) columns.push(readNode());
  return { rowCount: words[0]!, columns };
}

function columnBytes(column: ResultColumn): number {
  const own = COLUMN_HEAD_BYTES + (column.nullCount === 0 ? 0 : padded((column.length + 7) >> 3));
  const buffers = column.buffers.reduce((sum, buffer) => sum + BUFFER_HEAD_BYTES + padded(buffer.length), 0);
  return column.children.reduce((sum, child) => sum + columnBytes(child), own + buffers);
}

/** Returns where the next column begins. */
function writeColumn(bytes: Uint8Array<ArrayBuffer>, start: number, column: ResultColumn): number {
  const words = new Uint32Array(bytes.buffer);
  words.set([column.length, column.nullCount, column.buffers.length, column.children.length], start >> 2);
  let at = start + COLUMN_HEAD_BYTES;
  if (column.nullCount > 0) {
    const validity = column.validity.subarray(0, (column.length + 7) >> 3);
    bytes.set(validity, at);
    at += padded(validity.length);
  }
  for (const buffer of column.buffers) {
    words[at >> 2] = buffer.length;
    at += BUFFER_HEAD_BYTES;
    bytes.set(buffer, at);
    at += padded(buffer.length);
  }
  return column.children.reduce((next, child) => writeColumn(bytes, next, child), at);
}

function padded(bytes: number): number {
  return (bytes + 7) & ~7;
}
