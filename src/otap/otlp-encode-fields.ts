/** Cells of canonical columns as fields of OTLP messages. What has the default of its field takes no bytes. */
import type { BytesColumn, FixedColumn, I64Column, IdentifierColumn, ListColumn } from './canonical.ts';
import type { BackwardOutput } from './protobuf-backward-output.ts';

const EMPTY = new Uint8Array(0);

/** One class of objects for string columns of whatever origin: what reads them stays fast. */
export class TextSource {
  readonly bytes: Uint8Array;
  readonly offsets: Int32Array | Uint32Array;
  readonly indices: Uint8Array | Uint16Array | Uint32Array | null;
  readonly validity: Uint8Array | null;

  private constructor(column: BytesColumn) {
    this.bytes = column.pool.bytes;
    this.offsets = column.pool.offsets;
    this.indices = column.indices;
    this.validity = column.validity;
  }

  static of(column: BytesColumn | null): TextSource | null {
    return column === null ? null : new TextSource(column);
  }

  /** The pool's entry of a row, -1 when it is null. */
  entry(row: number): number {
    if (this.validity !== null && this.validity[row] === 0) return -1;
    return this.indices === null ? row : this.indices[row]!;
  }
}

/** A string or bytes, unless empty. */
export function putText(output: BackwardOutput, tag: number, source: TextSource | null, row: number): void {
  if (source === null) return;
  const entry = source.entry(row);
  if (entry < 0) return;
  const start = source.offsets[entry]!;
  const end = source.offsets[entry + 1]!;
  if (start === end) return;
  output.putField(tag, source.bytes, start, end);
}

/** The same also when empty: a member of a oneof. */
export function putTextMember(output: BackwardOutput, tag: number, source: TextSource | null, row: number): void {
  const entry = source === null ? -1 : source.entry(row);
  if (entry < 0) output.putField(tag, EMPTY, 0, 0);
  else output.putField(tag, source!.bytes, source!.offsets[entry]!, source!.offsets[entry + 1]!);
}

/** An id of a trace or span. Zeros are an id like others. */
export function putIdentifier(output: BackwardOutput, tag: number, column: IdentifierColumn | null, row: number): void {
  if (column === null || (column.validity !== null && column.validity[row] === 0)) return;
  const { width } = column;
  output.putField(tag, column.values, row * width, (row + 1) * width);
}

/** An unsigned integer of 32 bits. */
export function putUint32(
  output: BackwardOutput,
  tag: number,
  column: FixedColumn<Uint8Array | Uint32Array> | null,
  row: number,
): void {
  if (column === null) return;
  const value = column.values[row]!;
  if (value === 0) return;
  output.putVarint(value);
  output.putVarint(tag);
}

/** An enum: negative ones take 64 bits. */
export function putEnum(
  output: BackwardOutput,
  tag: number,
  column: FixedColumn<Int32Array> | null,
  row: number,
): void {
  if (column === null) return;
  const value = column.values[row]!;
  if (value === 0) return;
  output.putVarint64(value < 0 ? 0xffff_ffff : 0, value >>> 0);
  output.putVarint(tag);
}

/** A zigzag integer of 32 bits. */
export function putSint32(
  output: BackwardOutput,
  tag: number,
  column: FixedColumn<Int32Array> | null,
  row: number,
): void {
  if (column === null) return;
  const value = column.values[row]!;
  if (value === 0) return;
  output.putVarint(((value << 1) ^ (value >> 31)) >>> 0);
  output.putVarint(tag);
}

export function putFixed32(
  output: BackwardOutput,
  tag: number,
  column: FixedColumn<Uint32Array> | null,
  row: number,
): void {
  if (column === null) return;
  const value = column.values[row]!;
  if (value === 0) return;
  output.putFixed32(value);
  output.putVarint(tag);
}

/** Arrays of 64-bit numbers. */
type Wide = BigInt64Array | BigUint64Array | Float64Array;

interface Halves {
  readonly halves: Uint32Array;
}

/** 64-bit numbers by their halves, the low one first: reading them as they are would make an object each. */
export class Words {
  readonly halves: Uint32Array;
  readonly validity: Uint8Array | null;

  private constructor(column: FixedColumn<Wide>) {
    const { values } = column;
    this.halves = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
    this.validity = column.validity;
  }

  static of(column: FixedColumn<Wide> | null): Words | null {
    return column === null ? null : new Words(column);
  }

  isPresent(row: number): boolean {
    return this.validity === null || this.validity[row] !== 0;
  }
}

/** 8 bytes, unless all are 0. */
export function putFixed64(output: BackwardOutput, tag: number, words: Halves | null, at: number): void {
  if (words === null) return;
  const low = words.halves[2 * at]!;
  const high = words.halves[2 * at + 1]!;
  if ((low | high) === 0) return;
  output.putFixed64(high, low);
  output.putVarint(tag);
}

/** 8 bytes of a field that may be missing: whatever they are when the row has them. */
export function putOptionalFixed64(output: BackwardOutput, tag: number, words: Words | null, row: number): void {
  if (words === null || !words.isPresent(row)) return;
  output.putFixed64(words.halves[2 * row + 1]!, words.halves[2 * row]!);
  output.putVarint(tag);
}

/** The sum of two columns, which wraps at 64 bits: an end of a start and a duration. */
export function putSum64(
  output: BackwardOutput,
  tag: number,
  [left, right]: readonly [Words | null, Words | null],
  row: number,
): void {
  const leftLow = left === null ? 0 : left.halves[2 * row]!;
  const low = leftLow + (right === null ? 0 : right.halves[2 * row]!);
  const carry = low > 0xffff_ffff ? 1 : 0;
  const leftHigh = left === null ? 0 : left.halves[2 * row + 1]!;
  const high = (leftHigh + (right === null ? 0 : right.halves[2 * row + 1]!) + carry) >>> 0;
  if (((low >>> 0) | high) === 0) return;
  output.putFixed64(high, low >>> 0);
  output.putVarint(tag);
}

/** Lists of 64-bit numbers by their halves. */
export class WordLists {
  readonly halves: Uint32Array;
  readonly offsets: Int32Array | Uint32Array;

  private constructor(column: ListColumn<Wide>) {
    const { values } = column;
    this.halves = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
    this.offsets = column.offsets;
  }

  static of(column: ListColumn<Wide> | null): WordLists | null {
    return column === null ? null : new WordLists(column);
  }
}

/** A packed list of 8 bytes each. */
export function putFixed64List(output: BackwardOutput, tag: number, lists: WordLists | null, row: number): void {
  if (lists === null) return;
  const { halves, offsets } = lists;
  const start = offsets[row]!;
  const end = offsets[row + 1]!;
  if (start === end) return;
  const before = output.length;
  for (let at = end - 1; at >= start; at--) output.putFixed64(halves[2 * at + 1]!, halves[2 * at]!);
  output.close(before, tag);
}

/** A packed list of varints. */
export function putVarintList(output: BackwardOutput, tag: number, lists: WordLists | null, row: number): void {
  if (lists === null) return;
  const { halves, offsets } = lists;
  const start = offsets[row]!;
  const end = offsets[row + 1]!;
  if (start === end) return;
  const before = output.length;
  for (let at = end - 1; at >= start; at--) output.putVarint64(halves[2 * at + 1]!, halves[2 * at]!);
  output.close(before, tag);
}

/** The value of a number point or exemplar: the member of the oneof that the row has, if any. */
export function putNumberValue(
  output: BackwardOutput,
  tags: { readonly AS_INT: number; readonly AS_DOUBLE: number },
  { int, double }: { readonly int: Words | null; readonly double: Words | null },
  row: number,
): void {
  if (int !== null && int.isPresent(row)) putOptionalFixed64(output, tags.AS_INT, int, row);
  else putOptionalFixed64(output, tags.AS_DOUBLE, double, row);
}

/** The columns of a number value. */
export function numberWords(table: {
  readonly intValue: I64Column | null;
  readonly doubleValue: FixedColumn<Float64Array> | null;
}): { readonly int: Words | null; readonly double: Words | null } {
  return { int: Words.of(table.intValue), double: Words.of(table.doubleValue) };
}

const WIRE = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;

/** The tag of a field. */
export function tagOf(field: number, wire: keyof typeof WIRE): number {
  return (field << 3) | WIRE[wire];
}
