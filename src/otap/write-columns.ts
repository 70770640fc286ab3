/** The arrays of columns and dictionaries in the body of an IPC message. */
import { FIELD_WIDTHS, type FieldType, type IndexBits } from './arrow-field-types.ts';
import { MessageOutput, type MessageTemplate } from './arrow-message-output.ts';
import { ALIGNMENT, type ByteOutput } from './byte-output.ts';
import type { BytesColumn } from './canonical.ts';
import type { ColumnSource, NumberLists, OutColumn } from './out-columns.ts';
import type { ValueDictionary } from './value-dictionary.ts';

/** How many arrays and buffers a column of a type has, plain. */
export function columnShape(type: FieldType): { nodes: number; buffers: number } {
  switch (type) {
    case 'utf8':
    case 'binary':
      return { nodes: 1, buffers: 3 };
    case 'u64List':
    case 'f64List':
      return { nodes: 2, buffers: 4 };
    case 'quantileList':
      return { nodes: 4, buffers: 7 };
    default:
      return { nodes: 1, buffers: 2 };
  }
}

/** Dictionary indices of a column; null indices: all rows are null. */
interface IndexColumn {
  readonly bits: Exclude<IndexBits, 0>;
  readonly indices: Uint16Array | null;
}

/** Writes the arrays of a column, by its indices where it has any. */
export function writeColumn(
  message: MessageOutput,
  { type, source }: OutColumn,
  rowCount: number,
  dictionary: IndexColumn | null,
): void {
  writeNode(message, source, rowCount);
  if (dictionary !== null) writeIndices(message, dictionary, rowCount);
  else if (source === null) writeNothing(message, type, rowCount);
  else writeValues(message, source, rowCount);
}

/** Writes the entries of a dictionary from `from` on as a message of its own. */
export function writeDictionary(
  output: ByteOutput,
  type: FieldType,
  dictionary: ValueDictionary,
  { from, template }: { from: number; template: (shape: { nodes: number; buffers: number }) => MessageTemplate },
): void {
  const { length, bytes, offsets } = dictionary;
  const message = new MessageOutput(output, template(columnShape(type)), length - from);
  message.node(length - from, 0);
  message.noBuffer();
  const base = offsets[from]!;
  if (type === 'utf8' || type === 'binary') {
    const start = output.reserve(4 * (length - from + 1));
    const target = output.i32(start, length - from + 1);
    for (let entry = from; entry <= length; entry++) target[entry - from] = offsets[entry]! - base;
    message.endBuffer(start);
  }
  message.endBuffer(output.write(bytes.subarray(base, offsets[length])));
  message.finish();
}

/** The array's length and its validity: a bit a row, or nothing where no row is null. */
function writeNode(message: MessageOutput, source: ColumnSource | null, rowCount: number): void {
  const { output } = message;
  if (source !== null && source.validity === null) {
    message.node(rowCount, 0);
    message.noBuffer();
    return;
  }
  const byteCount = Math.ceil(rowCount / 8);
  const start = output.zeros(byteCount);
  const validCount = source === null ? 0 : setBits(output.slice(start, start + byteCount), source.validity!, rowCount);
  message.node(rowCount, rowCount - validCount);
  message.endBuffer(start);
}

/** Sets a bit for each byte that is not 0; returns how many there are. */
function setBits(target: Uint8Array, bytes: Uint8Array, rowCount: number): number {
  let count = 0;
  for (let row = 0; row < rowCount; row++) {
    if (bytes[row] === 0) continue;
    target[row >> 3] = target[row >> 3]! | (1 << (row & 7));
    count++;
  }
  return count;
}

function writeIndices(message: MessageOutput, { bits, indices }: IndexColumn, rowCount: number): void {
  const { output } = message;
  if (indices === null) return message.endBuffer(output.zeros((rowCount * bits) / 8));
  const start = output.reserve((rowCount * bits) / 8);
  if (bits === 8) output.slice(start, output.end).set(indices);
  else output.u16(start, rowCount).set(indices);
  message.endBuffer(start);
}

/** A column of null rows. */
function writeNothing(message: MessageOutput, type: FieldType, rowCount: number): void {
  const { output } = message;
  const width = FIELD_WIDTHS[type];
  if (width !== undefined) return message.endBuffer(output.zeros(rowCount * width));
  if (type === 'bool') return message.endBuffer(output.zeros(Math.ceil(rowCount / 8)));
  message.endBuffer(output.zeros(4 * (rowCount + 1)));
  const { nodes, buffers } = columnShape(type);
  for (let node = 1; node < nodes; node++) message.node(0, 0);
  for (let buffer = 2; buffer < buffers; buffer++) message.noBuffer();
}

function writeValues(message: MessageOutput, source: ColumnSource, rowCount: number): void {
  const { output } = message;
  switch (source.kind) {
    case 'fixed':
      return message.endBuffer(output.write(source.bytes.subarray(0, rowCount * source.width)));
    case 'bits': {
      const start = output.zeros(Math.ceil(rowCount / 8));
      setBits(output.slice(start, output.end), source.values, rowCount);
      return message.endBuffer(start);
    }
    case 'bytes':
      return writeBytes(message, source.column, rowCount);
    case 'list':
      return writeList(message, source.lists, rowCount);
    case 'pairs':
      return writePairs(message, source, rowCount);
  }
}

function writeBytes(message: MessageOutput, { pool, indices, validity }: BytesColumn, rowCount: number): void {
  const { output } = message;
  const { bytes, offsets } = pool;
  const start = output.reserve(4 * (rowCount + 1));
  const ends = output.i32(start, rowCount + 1);
  ends[0] = 0;
  let end = 0;
  for (let row = 0; row < rowCount; row++) {
    if (validity === null || validity[row] !== 0) {
      const entry = indices === null ? row : indices[row]!;
      end += offsets[entry + 1]! - offsets[entry]!;
    }
    ends[row + 1] = end;
  }
  message.endBuffer(start);
  const textStart = output.reserve(end);
  const text = output.slice(textStart, output.end);
  let at = 0;
  for (let row = 0; row < rowCount; row++) {
    if (validity !== null && validity[row] === 0) continue;
    const entry = indices === null ? row : indices[row]!;
    const [from, to] = [offsets[entry]!, offsets[entry + 1]!];
    if (to - from < COPY_LOOP_BYTES_MAX) {
      for (let byte = from; byte < to; byte++) text[at++] = bytes[byte]!;
    } else {
      text.set(bytes.subarray(from, to), at);
      at += to - from;
    }
  }
  message.endBuffer(textStart);
}

/** From here on a native copy costs less than the loop. */
const COPY_LOOP_BYTES_MAX = 32;

function writeList(message: MessageOutput, lists: NumberLists, rowCount: number): void {
  const count = writeOffsets(message, lists, rowCount);
  writeNumbers(message, lists, count);
}

function writePairs(
  message: MessageOutput,
  { first, second }: Extract<ColumnSource, { kind: 'pairs' }>,
  rowCount: number,
): void {
  const count = writeOffsets(message, (first ?? second)!, rowCount);
  message.node(count, 0);
  message.noBuffer();
  writeNumbers(message, first, count);
  writeNumbers(message, second, count);
}

/** Writes where each row's list ends; returns where the last one does. */
function writeOffsets(message: MessageOutput, { offsets }: NumberLists, rowCount: number): number {
  const { output } = message;
  const start = output.reserve(4 * (rowCount + 1));
  const target = output.i32(start, rowCount + 1);
  const base = offsets[0]!;
  for (let row = 0; row <= rowCount; row++) target[row] = offsets[row]! - base;
  message.endBuffer(start);
  return offsets[rowCount]! - base;
}

/** Writes `count` numbers of lists, zeros where there are no lists. */
function writeNumbers(message: MessageOutput, lists: NumberLists | null, count: number): void {
  const { output } = message;
  message.node(count, 0);
  message.noBuffer();
  if (lists === null) return message.endBuffer(output.zeros(ALIGNMENT * count));
  const { values, offsets } = lists;
  const bytes = new Uint8Array(values.buffer, values.byteOffset + ALIGNMENT * offsets[0]!, ALIGNMENT * count);
  message.endBuffer(output.write(bytes));
}
