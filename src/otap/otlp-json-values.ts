/** The scalars of OTLP/JSON in protobuf: ids in hex, bytes in base64, 64-bit integers as text or as numbers, enums by name too. */
import { HEX_VALUES, NOT_HEX } from './json-text.ts';
import type { JsonNumber } from './json-number.ts';
import type { JsonReader } from './json-reader.ts';
import type { JsonField } from './otlp-json-names.ts';
import type { ProtobufOutput } from './otlp-json-output.ts';

/** Reads the next value as the field's kind and writes it, without a tag. Throws BatchMalformedError when it is no such value. */
export function writeScalar(field: JsonField, reader: JsonReader, output: ProtobufOutput): void {
  const { number } = reader;
  switch (field.kind) {
    case 'string':
      reader.readString();
      output.writeVarint(reader.textEnd - reader.textStart);
      output.writeBytes(reader.text, reader.textStart, reader.textEnd);
      return;
    case 'bytes':
      writeBase64(reader, output);
      return;
    case 'trace_id':
    case 'span_id':
      writeHex(reader, output);
      return;
    case 'bool':
      output.writeVarint(reader.readBoolean() ? 1 : 0);
      return;
    case 'double':
      output.writeDouble(readDouble(reader));
      return;
    case 'fixed64':
      readUnsigned64(reader);
      output.writeFixed64(number.high, number.low);
      return;
    case 'uint64':
      readUnsigned64(reader);
      output.writeVarint64(number.high, number.low);
      return;
    case 'sfixed64':
      readSigned64(reader);
      output.writeFixed64(number.high, number.low);
      return;
    case 'int64':
      readSigned64(reader);
      output.writeVarint64(number.high, number.low);
      return;
    case 'uint32':
      output.writeVarint(readUnsigned32(reader));
      return;
    case 'fixed32':
      output.writeFixed32(readUnsigned32(reader));
      return;
    case 'sint32':
      output.writeVarint(zigzag(readSigned32(reader)));
      return;
    case 'enum':
      writeEnum(field, reader, output);
      return;
    case 'message':
      throw new TypeError(`Cannot write ${field.name}: a message is no scalar`);
  }
}

const SIGN_BIT = 0x80000000;

function readUnsigned64(reader: JsonReader): void {
  const { number } = reader;
  if (!reader.readNumber() || !number.readInteger() || isBelowZero(number)) {
    throw reader.unexpectedText('an integer from 0 to 18446744073709551615');
  }
}

/** Leaves two's complement in the reader's number. */
function readSigned64(reader: JsonReader): void {
  const { number } = reader;
  if (!reader.readNumber() || !number.readInteger() || !fitsSigned(number.isNegative, number.high, number.low)) {
    throw reader.unexpectedText('an integer from -9223372036854775808 to 9223372036854775807');
  }
  number.complement();
}

function readUnsigned32(reader: JsonReader): number {
  const { number } = reader;
  if (!reader.readNumber() || !number.readInteger() || number.high !== 0 || isBelowZero(number)) {
    throw reader.unexpectedText('an integer from 0 to 4294967295');
  }
  return number.low;
}

function readSigned32(reader: JsonReader): number {
  if (!reader.readNumber() || !takeSigned32(reader.number)) {
    throw reader.unexpectedText('an integer from -2147483648 to 2147483647');
  }
  return reader.number.low | 0;
}

/** Leaves two's complement in the number; false when it does not fit. */
function takeSigned32(number: JsonNumber): boolean {
  if (!number.readInteger() || number.high !== 0 || !fitsSigned(number.isNegative, number.low, 0)) return false;
  number.complement();
  return true;
}

/** Whether the magnitude, of which these are the upper bits and the rest, leaves the sign its bit. */
function fitsSigned(isNegative: boolean, upper: number, rest: number): boolean {
  return upper < SIGN_BIT || (isNegative && upper === SIGN_BIT && rest === 0);
}

/** -0 is 0. */
function isBelowZero(number: JsonNumber): boolean {
  return number.isNegative && (number.high !== 0 || number.low !== 0);
}

function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}

/** Values that no name stands for are kept: a newer sender may know them. */
function writeEnum(field: JsonField, reader: JsonReader, output: ProtobufOutput): void {
  const { number } = reader;
  if (reader.readNumber() && takeSigned32(number)) {
    output.writeVarint64(number.high, number.low);
    return;
  }
  const value = field.enumValues!.get(reader.text.toString('utf8', reader.textStart, reader.textEnd));
  if (value === undefined) throw reader.unexpectedText('a number or a name of the enum');
  output.writeVarint(value);
}

const DOUBLE_NAMES: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

function readDouble(reader: JsonReader): number {
  if (reader.readNumber()) {
    const value = reader.number.readDouble();
    if (!Number.isFinite(value)) throw reader.unexpectedText('in the range of a double');
    return value;
  }
  const value = DOUBLE_NAMES.get(reader.text.toString('utf8', reader.textStart, reader.textEnd));
  if (value === undefined) throw reader.unexpectedText('a number, "NaN", "Infinity" or "-Infinity"');
  return value;
}

function writeHex(reader: JsonReader, output: ProtobufOutput): void {
  reader.readString();
  const { text, textStart, textEnd } = reader;
  const length = textEnd - textStart;
  if (length % 2 !== 0) throw reader.unexpectedText('an even number of hex digits');
  output.writeVarint(length / 2);
  for (let at = textStart; at < textEnd; at += 2) {
    const high = HEX_VALUES[text[at]!]!;
    const low = HEX_VALUES[text[at + 1]!]!;
    if (high === NOT_HEX || low === NOT_HEX) throw reader.unexpectedText('hex digits');
    output.writeByte((high << 4) | low);
  }
}

const BASE64_DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const NOT_BASE64 = 0xff;
/** The standard digits and the URL-safe ones. */
const base64Values = new Uint8Array(256).fill(NOT_BASE64);
for (const digits of [`${BASE64_DIGITS}+/`, `${BASE64_DIGITS}-_`]) {
  for (let value = 0; value < digits.length; value++) base64Values[digits.charCodeAt(value)] = value;
}
const PADDING = 0x3d;
const GROUP_DIGITS = 4;

function writeBase64(reader: JsonReader, output: ProtobufOutput): void {
  reader.readString();
  const { text, textStart } = reader;
  const end = base64End(reader);
  const length = end - textStart;
  if (length % GROUP_DIGITS === 1) throw reader.unexpectedText('base64: it ends within a byte');
  output.writeVarint(Math.floor((length * 3) / GROUP_DIGITS));
  let bits = 0;
  let bitCount = 0;
  for (let at = textStart; at < end; at++) {
    const value = base64Values[text[at]!]!;
    if (value === NOT_BASE64) throw reader.unexpectedText('base64');
    bits = ((bits << 6) | value) & 0xffff;
    bitCount += 6;
    if (bitCount >= 8) {
      bitCount -= 8;
      output.writeByte((bits >>> bitCount) & 0xff);
    }
  }
}

/** Where the digits of the last string end: padding may be left out, but not be of a wrong length. */
function base64End(reader: JsonReader): number {
  const { text, textStart, textEnd } = reader;
  let end = textEnd;
  while (end > textStart && textEnd - end < 2 && text[end - 1] === PADDING) end--;
  if (end !== textEnd && (textEnd - textStart) % GROUP_DIGITS !== 0) {
    throw reader.unexpectedText('base64: its padding is of a wrong length');
  }
  return end;
}
