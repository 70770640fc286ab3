/**
 * Reads the Schema of an Arrow IPC message (Schema.fbs of the Arrow format, 2026) into fields that the fragment decoder follows.
 */
import { BatchMalformedError, LIMITS } from '../base/index.ts';
import {
  type Flatbuffer,
  readBool,
  readInt16,
  readInt32,
  readInt64,
  readString,
  readTable,
  readUint8,
  readVector,
  tableInVector,
} from './flatbuffer-reader.ts';

/** The Arrow types that can be decoded. `opaque` ones are carried by width only: no table of OTAP has them. */
export type ArrowType =
  | { readonly kind: 'null' | 'bool' | 'struct' }
  | { readonly kind: 'int'; readonly width: 1 | 2 | 4 | 8; readonly isSigned: boolean }
  | { readonly kind: 'float'; readonly width: 4 | 8 }
  | { readonly kind: 'utf8' | 'binary'; readonly isLarge: boolean }
  | { readonly kind: 'fixedBinary'; readonly width: number }
  | { readonly kind: 'timestamp' | 'duration'; readonly nanosPerUnit: bigint }
  | { readonly kind: 'list'; readonly isLarge: boolean }
  | { readonly kind: 'fixedList'; readonly listLength: number }
  | { readonly kind: 'union'; readonly isDense: boolean; readonly typeIds: readonly number[] }
  | { readonly kind: 'opaque'; readonly width: number; readonly name: string };

/** How a dictionary-encoded field refers to its dictionary. */
export interface DictionaryEncoding {
  readonly id: bigint;
  /** Of one index, in bytes. */
  readonly indexWidth: 1 | 2 | 4;
  readonly isSigned: boolean;
}

/** One field of a schema. A map is a `list` of its entries struct. */
export interface ArrowField {
  readonly name: string;
  /** Names from the root of the schema, joined by dots: what errors name. */
  readonly path: string;
  /** Of the values: a dictionary-encoded field has the type of its dictionary's entries. */
  readonly type: ArrowType;
  readonly dictionary: DictionaryEncoding | null;
  readonly children: readonly ArrowField[];
  /** Value of the field's metadata `encoding` (plain, delta, quasidelta), '' when absent. */
  readonly encoding: string;
}

/**
 * The fields of the Schema table at position `schema` of a message's flatbuffer.
 * Throws BatchMalformedError when it is damaged, too large (LIMITS.schemaFieldsMax, LIMITS.schemaDepthMax), big endian, or has a
 * type that cannot be decoded.
 */
export function readArrowSchema(buffer: Flatbuffer, schema: number): ArrowField[] {
  if (readInt16(buffer, schema, SCHEMA.ENDIANNESS, 0) !== 0) throw malformed('it is big endian');
  return readFields(buffer, schema, SCHEMA.FIELDS, '', 1, { fields: 0, dictionaryTypes: new Map() });
}

const SCHEMA = { ENDIANNESS: 4, FIELDS: 6 } as const;
const FIELD = { NAME: 4, TYPE_CODE: 8, TYPE: 10, DICTIONARY: 12, CHILDREN: 14, METADATA: 16 } as const;
const DICTIONARY = { ID: 4, INDEX_TYPE: 6, KIND: 10 } as const;
const KEY_VALUE = { KEY: 4, VALUE: 6 } as const;
/** Every type table has its parameters from here on. */
const FIRST = 4;
const SECOND = 6;
const THIRD = 8;

const TYPE_CODES = {
  NULL: 1,
  INT: 2,
  FLOAT: 3,
  BINARY: 4,
  UTF8: 5,
  BOOL: 6,
  DECIMAL: 7,
  DATE: 8,
  TIME: 9,
  TIMESTAMP: 10,
  INTERVAL: 11,
  LIST: 12,
  STRUCT: 13,
  UNION: 14,
  FIXED_BINARY: 15,
  FIXED_LIST: 16,
  MAP: 17,
  DURATION: 18,
  LARGE_BINARY: 19,
  LARGE_UTF8: 20,
  LARGE_LIST: 21,
} as const;

const NANOS_PER_UNIT = [1_000_000_000n, 1_000_000n, 1_000n, 1n] as const;
const UNIT_SECOND = 0;
const UNIT_MILLISECOND = 1;
const INTERVAL_WIDTHS = [4, 8, 16] as const;
const DICTIONARY_TYPES: ReadonlySet<string> = new Set([
  'bool',
  'int',
  'float',
  'utf8',
  'binary',
  'fixedBinary',
  'timestamp',
  'duration',
  'opaque',
]);

interface SchemaWalk {
  fields: number;
  readonly dictionaryTypes: Map<bigint, string>;
}

function readFields(
  buffer: Flatbuffer,
  parent: number,
  slot: number,
  parentPath: string,
  depth: number,
  walk: SchemaWalk,
): ArrowField[] {
  const vector = readVector(buffer, parent, slot, 4);
  if (vector.length === 0) return [];
  walk.fields += vector.length;
  if (walk.fields > LIMITS.schemaFieldsMax) throw malformed(`it has more than ${LIMITS.schemaFieldsMax} fields`);
  if (depth > LIMITS.schemaDepthMax) throw malformed(`it is nested deeper than ${LIMITS.schemaDepthMax}`);
  const fields: ArrowField[] = [];
  for (let i = 0; i < vector.length; i++) {
    fields.push(readField(buffer, tableInVector(buffer, vector, i), parentPath, depth, walk));
  }
  return fields;
}

function readField(buffer: Flatbuffer, table: number, parentPath: string, depth: number, walk: SchemaWalk): ArrowField {
  const name = readString(buffer, table, FIELD.NAME);
  const path = parentPath === '' ? name : `${parentPath}.${name}`;
  const children = readFields(buffer, table, FIELD.CHILDREN, path, depth + 1, walk);
  const type = readType(buffer, table, path, children);
  const dictionary = readDictionary(buffer, table, path);
  if (dictionary !== null) {
    if (!DICTIONARY_TYPES.has(type.kind)) throw malformed(`dictionaries of ${type.kind} cannot be decoded`, path);
    const shape = JSON.stringify(type, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
    if ((walk.dictionaryTypes.get(dictionary.id) ?? shape) !== shape) {
      throw malformed(`dictionary ${dictionary.id} has two types`, path);
    }
    walk.dictionaryTypes.set(dictionary.id, shape);
  }
  return { name, path, type, dictionary, children, encoding: readEncoding(buffer, table) };
}

function readType(buffer: Flatbuffer, table: number, path: string, children: readonly ArrowField[]): ArrowType {
  const code = readUint8(buffer, table, FIELD.TYPE_CODE, 0);
  const type = readTable(buffer, table, FIELD.TYPE);
  if (type === 0) throw malformed('its type is missing', path);
  switch (code) {
    case TYPE_CODES.NULL:
      return { kind: 'null' };
    case TYPE_CODES.BOOL:
      return { kind: 'bool' };
    case TYPE_CODES.STRUCT:
      return { kind: 'struct' };
    case TYPE_CODES.INT:
      return readIntType(buffer, type, path);
    case TYPE_CODES.FLOAT:
      return readFloatType(buffer, type, path);
    case TYPE_CODES.UTF8:
    case TYPE_CODES.LARGE_UTF8:
      return { kind: 'utf8', isLarge: code === TYPE_CODES.LARGE_UTF8 };
    case TYPE_CODES.BINARY:
    case TYPE_CODES.LARGE_BINARY:
      return { kind: 'binary', isLarge: code === TYPE_CODES.LARGE_BINARY };
    case TYPE_CODES.FIXED_BINARY:
      return { kind: 'fixedBinary', width: nonNegative(readInt32(buffer, type, FIRST, 0), 'width', path) };
    case TYPE_CODES.TIMESTAMP:
      return { kind: 'timestamp', nanosPerUnit: nanosPerUnit(readInt16(buffer, type, FIRST, UNIT_SECOND), path) };
    case TYPE_CODES.DURATION:
      return { kind: 'duration', nanosPerUnit: nanosPerUnit(readInt16(buffer, type, FIRST, UNIT_MILLISECOND), path) };
    case TYPE_CODES.LIST:
    case TYPE_CODES.LARGE_LIST:
    case TYPE_CODES.MAP:
      expectChildren(children, 1, path);
      return { kind: 'list', isLarge: code === TYPE_CODES.LARGE_LIST };
    case TYPE_CODES.FIXED_LIST:
      expectChildren(children, 1, path);
      return { kind: 'fixedList', listLength: nonNegative(readInt32(buffer, type, FIRST, 0), 'list size', path) };
    case TYPE_CODES.UNION:
      return readUnionType(buffer, type, path, children);
    case TYPE_CODES.DATE:
      return { kind: 'opaque', name: 'date', width: readInt16(buffer, type, FIRST, 1) === 0 ? 4 : 8 };
    case TYPE_CODES.TIME:
      return { kind: 'opaque', name: 'time', width: readInt32(buffer, type, SECOND, 32) === 32 ? 4 : 8 };
    case TYPE_CODES.DECIMAL:
      return { kind: 'opaque', name: 'decimal', width: decimalWidth(readInt32(buffer, type, THIRD, 128), path) };
    case TYPE_CODES.INTERVAL: {
      const width = INTERVAL_WIDTHS[readInt16(buffer, type, FIRST, 0)];
      if (width === undefined) throw malformed('its interval unit is unknown', path);
      return { kind: 'opaque', name: 'interval', width };
    }
    default:
      throw malformed(`Arrow type ${code} cannot be decoded`, path);
  }
}

function readIntType(buffer: Flatbuffer, type: number, path: string): ArrowType {
  const bits = readInt32(buffer, type, FIRST, 0);
  if (bits !== 8 && bits !== 16 && bits !== 32 && bits !== 64) throw malformed(`an integer has ${bits} bits`, path);
  return { kind: 'int', width: (bits / 8) as 1 | 2 | 4 | 8, isSigned: readBool(buffer, type, SECOND, false) };
}

function readFloatType(buffer: Flatbuffer, type: number, path: string): ArrowType {
  const precision = readInt16(buffer, type, FIRST, 0);
  if (precision === 1) return { kind: 'float', width: 4 };
  if (precision === 2) return { kind: 'float', width: 8 };
  throw malformed(`floating-point precision ${precision} cannot be decoded`, path);
}

function readUnionType(buffer: Flatbuffer, type: number, path: string, children: readonly ArrowField[]): ArrowType {
  const ids = readVector(buffer, type, SECOND, 4);
  const typeIds: number[] = [];
  for (let i = 0; i < ids.length; i++) typeIds.push(buffer.view.getInt32(ids.start + 4 * i, true));
  if (ids.length === 0) typeIds.push(...children.keys());
  if (typeIds.length !== children.length || new Set(typeIds).size !== typeIds.length) {
    throw malformed(`a union has ${children.length} children and type ids ${typeIds.join(', ')}`, path);
  }
  if (typeIds.some((id) => id < 0 || id > 127)) throw malformed(`a union has type ids ${typeIds.join(', ')}`, path);
  return { kind: 'union', isDense: readInt16(buffer, type, FIRST, 0) === 1, typeIds };
}

function readDictionary(buffer: Flatbuffer, table: number, path: string): DictionaryEncoding | null {
  const dictionary = readTable(buffer, table, FIELD.DICTIONARY);
  if (dictionary === 0) return null;
  if (readInt16(buffer, dictionary, DICTIONARY.KIND, 0) !== 0) throw malformed('its dictionary kind is unknown', path);
  const indexType = readTable(buffer, dictionary, DICTIONARY.INDEX_TYPE);
  const bits = indexType === 0 ? 32 : readInt32(buffer, indexType, FIRST, 0);
  if (bits !== 8 && bits !== 16 && bits !== 32) throw malformed(`a dictionary index has ${bits} bits`, path);
  return {
    id: readInt64(buffer, dictionary, DICTIONARY.ID, 0n),
    indexWidth: (bits / 8) as 1 | 2 | 4,
    isSigned: indexType === 0 || readBool(buffer, indexType, SECOND, false),
  };
}

function readEncoding(buffer: Flatbuffer, table: number): string {
  const pairs = readVector(buffer, table, FIELD.METADATA, 4);
  for (let i = 0; i < pairs.length; i++) {
    const pair = tableInVector(buffer, pairs, i);
    if (readString(buffer, pair, KEY_VALUE.KEY) === 'encoding') return readString(buffer, pair, KEY_VALUE.VALUE);
  }
  return '';
}

function nanosPerUnit(unit: number, path: string): bigint {
  const nanos = NANOS_PER_UNIT[unit];
  if (nanos === undefined) throw malformed(`time unit ${unit} is unknown`, path);
  return nanos;
}

function decimalWidth(bits: number, path: string): number {
  if (bits !== 32 && bits !== 64 && bits !== 128 && bits !== 256) throw malformed(`a decimal has ${bits} bits`, path);
  return bits / 8;
}

function nonNegative(value: number, what: string, path: string): number {
  if (value < 0) throw malformed(`its ${what} is ${value}`, path);
  return value;
}

function expectChildren(children: readonly ArrowField[], count: number, path: string): void {
  if (children.length !== count) throw malformed(`it has ${children.length} children instead of ${count}`, path);
}

function malformed(reason: string, column?: string): BatchMalformedError {
  if (column === undefined) return new BatchMalformedError(`Cannot read an Arrow schema: ${reason}`);
  return new BatchMalformedError(`Cannot read an Arrow schema: column ${column}: ${reason}`, { column });
}
