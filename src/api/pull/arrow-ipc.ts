/**
 * Messages of Arrow IPC streams, written from nodes that hold their buffers.
 * Source: https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format, Schema.fbs and Message.fbs, version V5.
 */
import { encodeFlatBuffer, type FlatField, i16, i32, i8 } from '../../base/index.ts';
import type { Placeable } from './types.ts';

/** A field of a schema. */
export interface ArrowField {
  readonly name: string;
  readonly type: ArrowType;
  readonly isNullable: boolean;
}

export interface ArrowType {
  /** Of the union Type in Schema.fbs. */
  readonly code: number;
  /** Of the type's own table. */
  readonly facts: readonly FlatField[];
  readonly children: readonly ArrowField[];
}

/** The rows of one field in a record batch. */
export interface ArrowNode {
  readonly length: number;
  readonly nullCount: number;
  /** One bit a row; null when no row is null. */
  readonly validity: Uint8Array | null;
  readonly buffers: readonly Uint8Array[];
  readonly children: readonly ArrowNode[];
}

const NANO = 3;
const DOUBLE = 2;

/** The types that pulls write. */
export const ARROW = {
  int: (bits: 8 | 16 | 32 | 64, isSigned: boolean): ArrowType => leaf(2, i32(bits), i8(isSigned ? 1 : 0)),
  double: leaf(3, i16(DOUBLE)),
  binary: leaf(4),
  utf8: leaf(5),
  bool: leaf(6),
  timestamp: leaf(10, i16(NANO)),
  /** UTC, for times that are ours. */
  timestampUtc: leaf(10, i16(NANO), { kind: 'string', value: 'UTC' }),
  list: (item: ArrowField): ArrowType => ({ code: 12, facts: [], children: [item] }),
  struct: (children: readonly ArrowField[]): ArrowType => ({ code: 13, facts: [], children }),
  fixedBinary: (bytes: number): ArrowType => leaf(15, i32(bytes)),
  duration: leaf(18, i16(NANO)),
} as const;

/** The message that begins a stream. */
export function schemaMessage(fields: readonly ArrowField[], metadata: Readonly<Record<string, string>>): Uint8Array {
  return message(
    HEADER_SCHEMA,
    [null, { kind: 'tables', items: fields.map(fieldTable) }, { kind: 'tables', items: keyValues(metadata) }],
    0,
  );
}

/** A record batch, written where it is to go. */
export function batchMessage(
  nodes: readonly ArrowNode[],
  rowCount: number,
  metadata: Readonly<Record<string, string>> = {},
): Placeable {
  const facts: number[] = [];
  const ranges: number[] = [];
  const buffers: Uint8Array[] = [];
  let bodyBytes = 0;
  const push = (buffer: Uint8Array) => {
    ranges.push(bodyBytes, buffer.length);
    buffers.push(buffer);
    bodyBytes += Math.ceil(buffer.length / 8) * 8;
  };
  const add = (node: ArrowNode) => {
    facts.push(node.length, node.nullCount);
    // A struct has a validity and nothing else, all others at least that.
    push(node.validity ?? NO_BYTES);
    for (const buffer of node.buffers) push(buffer);
    for (const child of node.children) add(child);
  };
  for (const node of nodes) add(node);
  const head = message(
    HEADER_RECORD_BATCH,
    [
      { kind: 'i64', value: rowCount },
      { kind: 'pairs', values: facts },
      { kind: 'pairs', values: ranges },
    ],
    bodyBytes,
    metadata,
  );
  return {
    length: head.length + bodyBytes,
    placeIn(target, at) {
      target.set(head, at);
      let end = at + head.length;
      for (const buffer of buffers) {
        target.set(buffer, end);
        // What is between buffers is not empty in memory that is used again.
        const next = end + Math.ceil(buffer.length / 8) * 8;
        target.fill(0, end + buffer.length, next);
        end = next;
      }
    },
  };
}

const HEADER_SCHEMA = 1;
const HEADER_RECORD_BATCH = 3;
const METADATA_V5 = 4;
const PREFIX_BYTES = 8;
const NO_BYTES = new Uint8Array(0);

/** A message up to its body. */
function message(
  headerType: number,
  header: readonly FlatField[],
  bodyBytes: number,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const flat = encodeFlatBuffer([
    i16(METADATA_V5),
    i8(headerType),
    { kind: 'table', fields: header },
    { kind: 'i64', value: bodyBytes },
    { kind: 'tables', items: keyValues(metadata) },
  ]);
  const bytes = new Uint8Array(PREFIX_BYTES + flat.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0xff_ff_ff_ff, true);
  view.setInt32(4, flat.length, true);
  bytes.set(flat, PREFIX_BYTES);
  return bytes;
}

function fieldTable({ name, type, isNullable }: ArrowField): FlatField[] {
  return [
    { kind: 'string', value: name },
    i8(isNullable ? 1 : 0),
    i8(type.code),
    { kind: 'table', fields: type.facts },
    null,
    { kind: 'tables', items: type.children.map(fieldTable) },
  ];
}

function keyValues(metadata: Readonly<Record<string, string>>): FlatField[][] {
  return Object.entries(metadata).map(([key, value]) => [
    { kind: 'string', value: key },
    { kind: 'string', value },
  ]);
}

function leaf(code: number, ...facts: FlatField[]): ArrowType {
  return { code, facts, children: [] };
}
