/**
 * The two Arrow messages of a segment as byte templates: the schema message that heads it and the metadata of one frame's record
 * batch. Both have a constant size; what varies is patched in place.
 * Numbers of fields and unions: Arrow's Message.fbs and Schema.fbs, metadata version V5.
 */
import { type FlatNode, type FlatSlot, layOutFlatBuffer } from './flatbuffer.ts';
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

export const SCHEMA_TEMPLATE: SchemaTemplate = schemaTemplate();
export const FRAME_TEMPLATE: FrameTemplate = frameTemplate();

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
    ...FIXED_COLUMNS.map(({ name, bits, signed }) =>
      field(name, TYPE_INT, table(scalar(4, bits), scalar(1, signed ? 1 : 0))),
    ),
    ...BINARY_COLUMNS.map((name) => field(name, TYPE_BINARY, table())),
  ];
  const schema = table(scalar(2, 0), reference(list(fields)), reference(list(metadata)));
  const bytes = encapsulated(table(scalar(2, METADATA_VERSION_V5), scalar(1, HEADER_SCHEMA), reference(schema)));
  return { bytes, values };
}

function frameTemplate(): FrameTemplate {
  const at = { bodyLength: 0, rows: 0, nodes: 0, buffers: 0, crc: 0, previousCrc: 0 };
  const mark = (name: keyof typeof at) => (position: number) => {
    at[name] = position + PREFIX_BYTES;
  };
  const nodeCount = FIXED_COLUMNS.length + BINARY_COLUMNS.length;
  const bufferCount = FIXED_COLUMNS.length * 2 + BINARY_COLUMNS.length * 3;
  const recordBatch = table(
    { bytes: 8, value: 0, placed: mark('rows') },
    reference({ kind: 'pairs', count: nodeCount, placed: mark('nodes') }),
    reference({ kind: 'pairs', count: bufferCount, placed: mark('buffers') }),
  );
  const bytes = encapsulated(
    table(
      scalar(2, METADATA_VERSION_V5),
      scalar(1, HEADER_RECORD_BATCH),
      reference(recordBatch),
      { bytes: 8, value: 0, placed: mark('bodyLength') },
      reference(
        list([keyValue('crc', crcDigits(0), mark('crc')), keyValue('prev', crcDigits(0), mark('previousCrc'))]),
      ),
    ),
  );
  return { bytes, nodeCount, ...at };
}

function encapsulated(message: FlatNode): Uint8Array {
  const metadata = layOutFlatBuffer(message);
  const bytes = Buffer.alloc(PREFIX_BYTES + metadata.length);
  bytes.writeUInt32LE(0xffffffff, 0);
  bytes.writeUInt32LE(metadata.length, 4);
  bytes.set(metadata, PREFIX_BYTES);
  return bytes;
}

function field(name: string, typeCode: number, type: FlatNode): FlatNode {
  const notNullable = scalar(1, 0);
  return table(reference(text(name)), notNullable, scalar(1, typeCode), reference(type), null, reference(list([])));
}

function keyValue(key: string, value: string, placed: (position: number) => void): FlatNode {
  return table(reference(text(key)), reference({ kind: 'string', text: value, placed }));
}

function table(...slots: (FlatSlot | null)[]): FlatNode {
  return { kind: 'table', slots };
}

function list(items: readonly FlatNode[]): FlatNode {
  return { kind: 'references', items };
}

function text(value: string): FlatNode {
  return { kind: 'string', text: value };
}

function scalar(bytes: 1 | 2 | 4, value: number): FlatSlot {
  return { bytes, value };
}

function reference(node: FlatNode): FlatSlot {
  return { node };
}
