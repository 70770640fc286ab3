/**
 * The Arrow types that OTAP tables are made of, as an exporter writes them, and the schema message of a table.
 * Numbers of fields and unions: Arrow's Message.fbs and Schema.fbs, metadata version V5.
 */
import { encodeFlatBuffer, type FlatField, i16, i32, i8 } from '../base/index.ts';

/** What a column of a table is: its Arrow type, before it is encoded with a dictionary. */
export type FieldType =
  | 'bool'
  | 'u8'
  | 'u16'
  | 'u32'
  | 'u64'
  | 'i32'
  | 'i64'
  | 'f64'
  | 'timestamp'
  | 'duration'
  | 'utf8'
  | 'binary'
  | 'fixed8'
  | 'fixed16'
  | 'u64List'
  | 'f64List'
  /** List of structs of two numbers. */
  | 'quantileList';

/** Index width of a dictionary-encoded column; 0 is a plain column. */
export type IndexBits = 0 | 8 | 16;

/** One field of a schema. */
export interface SchemaField {
  readonly name: string;
  readonly type: FieldType | 'struct';
  readonly isNullable: boolean;
  readonly indexBits: IndexBits;
  /** Of a dictionary-encoded field: unique in the schema. */
  readonly dictionaryId: number;
  /** Of a struct. */
  readonly children: readonly SchemaField[];
}

/** Bytes of a value of each type of fixed width. */
export const FIELD_WIDTHS: Readonly<Partial<Record<FieldType, number>>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  i32: 4,
  i64: 8,
  f64: 8,
  timestamp: 8,
  duration: 8,
  fixed8: 8,
  fixed16: 16,
};

/** The encapsulated schema message of a table, a multiple of 8 long. */
export function schemaMessage(fields: readonly SchemaField[]): Uint8Array {
  const schema: FlatField[] = [i16(0), { kind: 'tables', items: fields.map(fieldTable) }];
  return encapsulate([i16(METADATA_VERSION_V5), i8(HEADER_SCHEMA), { kind: 'table', fields: schema }]);
}

/** A message's metadata behind the prefix that tells its length. */
export function encapsulate(message: readonly FlatField[]): Uint8Array {
  const metadata = encodeFlatBuffer(message);
  const bytes = Buffer.alloc(PREFIX_BYTES + metadata.length);
  bytes.writeUInt32LE(0xffffffff, 0);
  bytes.writeUInt32LE(metadata.length, 4);
  bytes.set(metadata, PREFIX_BYTES);
  return bytes;
}

export const METADATA_VERSION_V5 = 4;
/** Marker and length before a message's metadata. */
export const PREFIX_BYTES = 8;
const HEADER_SCHEMA = 1;

type FlatType = readonly [code: number, table: readonly FlatField[]];

const NANOSECOND = 3;
const TYPES: Readonly<Record<FieldType | 'struct', FlatType>> = {
  bool: [6, []],
  u8: [2, [i32(8), i8(0)]],
  u16: [2, [i32(16), i8(0)]],
  u32: [2, [i32(32), i8(0)]],
  u64: [2, [i32(64), i8(0)]],
  i32: [2, [i32(32), i8(1)]],
  i64: [2, [i32(64), i8(1)]],
  f64: [3, [i16(2)]],
  timestamp: [10, [i16(NANOSECOND), { kind: 'string', value: 'UTC' }]],
  duration: [18, [i16(NANOSECOND)]],
  utf8: [5, []],
  binary: [4, []],
  fixed8: [15, [i32(8)]],
  fixed16: [15, [i32(16)]],
  u64List: [12, []],
  f64List: [12, []],
  quantileList: [12, []],
  struct: [13, []],
};

/** What the lists hold, named as Arrow's Go library names it. */
const LIST_ITEMS: Readonly<Partial<Record<FieldType | 'struct', SchemaField>>> = {
  u64List: plainField('item', 'u64', true),
  f64List: plainField('item', 'f64', true),
  quantileList: {
    ...plainField('item', 'struct', true),
    children: [plainField('quantile', 'f64', false), plainField('value', 'f64', false)],
  },
};

function fieldTable(field: SchemaField): FlatField[] {
  const [code, type] = TYPES[field.type];
  const item = LIST_ITEMS[field.type];
  const children = item === undefined ? field.children : [item];
  return [
    { kind: 'string', value: field.name },
    i8(field.isNullable ? 1 : 0),
    i8(code),
    { kind: 'table', fields: type },
    field.indexBits === 0 ? null : dictionaryEncoding(field.dictionaryId, field.indexBits),
    { kind: 'tables', items: children.map(fieldTable) },
  ];
}

function dictionaryEncoding(id: number, indexBits: number): FlatField {
  const indexType: FlatField = { kind: 'table', fields: [i32(indexBits), i8(0)] };
  return { kind: 'table', fields: [{ kind: 'i64', value: id }, indexType, i8(0)] };
}

function plainField(name: string, type: SchemaField['type'], isNullable: boolean): SchemaField {
  return { name, type, isNullable, indexBits: 0, dictionaryId: 0, children: [] };
}
