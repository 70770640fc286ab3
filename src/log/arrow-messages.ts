/**
 * The two Arrow messages of a segment as byte templates: the schema message that heads it and the metadata of one frame's record
 * batch. Both have a constant size; what varies is patched in place.
 * Numbers of fields and unions: Arrow's Message.fbs and Schema.fbs, metadata version V5.
 */
import { encodeFlatBuffer, type FlatField, i16, i32, i8 } from '../base/index.ts';
import { BINARY_COLUMNS, crcDigits, FIXED_COLUMNS, offsetDigits, SEGMENT_FORMAT_VERSION } from './layout.ts';

const METADATA_VERSION_V5 = 4;
const HEADER_SCHEMA = 1;
const HEADER_RECORD_BATCH = 3;
const TYPE_INT = 2;
const TYPE_BINARY = 4;
const PREFIX_BYTES = 8;
const UUID_ZERO = '00000000-0000-0000-0000-000000000000';

/** Keys of the schema's metadata, in file order. */
export const SEGMENT_METADATA_KEYS = {
  version: 'treasury.version',
  logUuid: 'treasury.log_uuid',
  baseOffset: 'treasury.base_offset',
  previousEnd: 'treasury.previous_end',
  previousCrc: 'treasury.previous_crc',
  streamIdNext: 'treasury.stream_id_next',
  headerCrc: 'treasury.header_crc',
} as const;

/** The encapsulated schema message and where its metadata values are. */
export interface SchemaTemplate {
  readonly bytes: Uint8Array;
  readonly values: Readonly<Record<keyof typeof SEGMENT_METADATA_KEYS, { position: number; length: number }>>;
}

/** The encapsulated metadata of a frame's record batch and where what varies is. */
export interface FrameTemplate {
  readonly bytes: Uint8Array;
  /** i64: bytes of the message body. */
  readonly bodyLength: number;
  /** i64: rows. */
  readonly rows: number;
  /** Pairs of i64 (length, null count), one a column. */
  readonly nodes: number;
  readonly nodeCount: number;
  /** Pairs of i64 (offset in the body, length): validity and data of each fixed column, validity, offsets and data of each binary one. */
  readonly buffers: number;
  /** 8 hexadecimal digits each. */
  readonly crc: number;
  readonly previousCrc: number;
}

/** A record batch without rows, whose metadata says what is not in entries; its size never changes. */
export interface NoteTemplate {
  readonly bytes: Uint8Array;
  readonly value: { readonly position: number; readonly length: number };
}

/** Key of a note's metadata. */
export const NOTE_KEY = 'treasury.note';
/** JSON and spaces behind it: four numbers of 20 digits, their names and a reason of 160. */
const NOTE_VALUE_BYTES = 400;

export const SCHEMA_TEMPLATE: SchemaTemplate = schemaTemplate();
export const FRAME_TEMPLATE: FrameTemplate = frameTemplate();
export const NOTE_TEMPLATE: NoteTemplate = noteTemplate();

function schemaTemplate(): SchemaTemplate {
  const defaults: Record<keyof typeof SEGMENT_METADATA_KEYS, string> = {
    version: SEGMENT_FORMAT_VERSION,
    logUuid: UUID_ZERO,
    baseOffset: offsetDigits(0n),
    previousEnd: offsetDigits(0n),
    previousCrc: crcDigits(0),
    streamIdNext: offsetDigits(0n),
    headerCrc: crcDigits(0),
  };
  const values = {} as Record<keyof typeof SEGMENT_METADATA_KEYS, { position: number; length: number }>;
  const names = Object.keys(SEGMENT_METADATA_KEYS) as (keyof typeof SEGMENT_METADATA_KEYS)[];
  const metadata = names.map((name) =>
    keyValue(SEGMENT_METADATA_KEYS[name], defaults[name], (position) => {
      values[name] = { position: position + PREFIX_BYTES, length: defaults[name].length };
    }),
  );
  const fields = [
    ...FIXED_COLUMNS.map(({ name, bits, signed }) => field(name, TYPE_INT, [i32(bits), i8(signed ? 1 : 0)])),
    ...BINARY_COLUMNS.map((name) => field(name, TYPE_BINARY, [])),
  ];
  const schema: FlatField[] = [i16(0), { kind: 'tables', items: fields }, { kind: 'tables', items: metadata }];
  const bytes = encapsulated([i16(METADATA_VERSION_V5), i8(HEADER_SCHEMA), { kind: 'table', fields: schema }]);
  return { bytes, values };
}

function frameTemplate(): FrameTemplate {
  const at = { bodyLength: 0, rows: 0, nodes: 0, buffers: 0, crc: 0, previousCrc: 0 };
  const mark = (name: keyof typeof at) => (position: number) => {
    at[name] = position + PREFIX_BYTES;
  };
  const nodeCount = FIXED_COLUMNS.length + BINARY_COLUMNS.length;
  const bufferCount = FIXED_COLUMNS.length * 2 + BINARY_COLUMNS.length * 3;
  const recordBatch: FlatField[] = [
    { kind: 'i64', value: 0, placed: mark('rows') },
    { kind: 'pairs', values: zeroPairs(nodeCount), placed: mark('nodes') },
    { kind: 'pairs', values: zeroPairs(bufferCount), placed: mark('buffers') },
  ];
  const crcs = [keyValue('crc', crcDigits(0), mark('crc')), keyValue('prev', crcDigits(0), mark('previousCrc'))];
  const bytes = encapsulated([
    i16(METADATA_VERSION_V5),
    i8(HEADER_RECORD_BATCH),
    { kind: 'table', fields: recordBatch },
    { kind: 'i64', value: 0, placed: mark('bodyLength') },
    { kind: 'tables', items: crcs },
  ]);
  return { bytes, nodeCount, ...at };
}

function noteTemplate(): NoteTemplate {
  let position = 0;
  const columns = FIXED_COLUMNS.length + BINARY_COLUMNS.length;
  const recordBatch: FlatField[] = [
    { kind: 'i64', value: 0 },
    { kind: 'pairs', values: zeroPairs(columns) },
    { kind: 'pairs', values: zeroPairs(FIXED_COLUMNS.length * 2 + BINARY_COLUMNS.length * 3) },
  ];
  const note = keyValue(NOTE_KEY, ' '.repeat(NOTE_VALUE_BYTES), (placed) => {
    position = placed + PREFIX_BYTES;
  });
  const bytes = encapsulated([
    i16(METADATA_VERSION_V5),
    i8(HEADER_RECORD_BATCH),
    { kind: 'table', fields: recordBatch },
    { kind: 'i64', value: 0 },
    { kind: 'tables', items: [note] },
  ]);
  return { bytes, value: { position, length: NOTE_VALUE_BYTES } };
}

function encapsulated(message: readonly FlatField[]): Uint8Array {
  const metadata = encodeFlatBuffer(message);
  const bytes = Buffer.alloc(PREFIX_BYTES + metadata.length);
  bytes.writeUInt32LE(0xffffffff, 0);
  bytes.writeUInt32LE(metadata.length, 4);
  bytes.set(metadata, PREFIX_BYTES);
  return bytes;
}

function field(name: string, typeCode: number, type: readonly FlatField[]): FlatField[] {
  const notNullable = i8(0);
  const children: FlatField = { kind: 'tables', items: [] };
  return [{ kind: 'string', value: name }, notNullable, i8(typeCode), { kind: 'table', fields: type }, null, children];
}

function keyValue(key: string, value: string, placed: (position: number) => void): FlatField[] {
  return [
    { kind: 'string', value: key },
    { kind: 'string', value, placed },
  ];
}

function zeroPairs(count: number): number[] {
  return Array<number>(count * 2).fill(0);
}
