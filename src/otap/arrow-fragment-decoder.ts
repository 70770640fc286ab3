/**
 * Decodes the record batches and dictionaries of an Arrow IPC stream that comes in fragments (Arrow columnar format 1.x, little
 * endian). Everything the wire says is checked before it is used: a wrong length, offset or index is a BatchMalformedError that
 * names payload and column, never a read out of range.
 */
import { type ArrowBody, columnMalformed, openArrowBody } from './arrow-body.ts';
import type { ArrowColumn, IntArray, StructArrowColumn } from './arrow-columns.ts';
import { readBytesColumn, readFixedList, readList } from './arrow-lists.ts';
import type { ArrowField, ArrowType } from './arrow-schema.ts';
import { readUnion } from './arrow-unions.ts';
import { clearNullRows, expandBits, readValidity } from './arrow-validity.ts';
import type { DecodeBudget } from './decode-budget.ts';
import type { Dictionary, DictionaryEntries } from './dictionaries.ts';
import { readIndexedColumn } from './dictionary-columns.ts';
import type { IpcMessage } from './ipc-messages.ts';

/** What decoding a fragment needs besides its bytes. */
export interface FragmentContext {
  /** Name of the payload type, for errors. */
  readonly payload: string;
  readonly dictionaries: ReadonlyMap<bigint, Dictionary>;
  readonly budget: DecodeBudget;
  /** Counts strings whose invalid UTF-8 was replaced. */
  readonly repairs: { repairedStrings: number };
}

/** The columns of a record batch message, in the order of `fields`; all have `message.rowCount` rows. */
export function decodeRecordBatch(
  fields: readonly ArrowField[],
  message: IpcMessage,
  context: FragmentContext,
): ArrowColumn[] {
  const body = openArrowBody(message, context.payload, context.budget);
  const columns = fields.map((field) => readColumn(field, body, message.rowCount, null, context));
  body.end();
  return columns;
}

/**
 * The entries of a dictionary message for the dictionary that `field` refers to. Their bytes may be views into the message:
 * append them to a dictionary, do not keep them.
 */
export function decodeDictionary(field: ArrowField, message: IpcMessage, context: FragmentContext): DictionaryEntries {
  const body = openArrowBody(message, context.payload, context.budget);
  const { type, path } = field;
  const length = body.nextNode(path, message.rowCount);
  const validity = readValidity(body, path, length, null);
  if (type.kind === 'utf8' || type.kind === 'binary') {
    const column = readBytesColumn(type, path, body, length, validity, context.repairs);
    body.end();
    return { kind: 'bytes', column };
  }
  const width = fixedWidth(type);
  if (width === null) throw columnMalformed(context.payload, path, `dictionaries of ${type.kind} cannot be decoded`);
  const values =
    type.kind === 'bool' ? readBits(body, path, length, validity) : readFixed(body, path, length, width, validity);
  body.end();
  return { kind: 'fixed', length, width, values, validity };
}

/** Takes the next array for `field`. `expectedLength` is null when the parent does not set it. */
function readColumn(
  field: ArrowField,
  body: ArrowBody,
  expectedLength: number | null,
  outer: Uint8Array | null,
  context: FragmentContext,
): ArrowColumn {
  const { type, path } = field;
  const length = body.nextNode(path, expectedLength);
  if (type.kind === 'null') return { kind: 'null', length };
  if (type.kind === 'union') {
    return readUnion(field, type, body, length, outer, (child, childLength, childOuter) =>
      readColumn(child, body, childLength, childOuter, context),
    );
  }
  const validity = readValidity(body, path, length, outer);
  if (field.dictionary !== null) {
    const indexed = readIndexedColumn(
      field.dictionary,
      fixedWidth(type),
      path,
      body,
      length,
      validity,
      context.dictionaries,
    );
    if (indexed.kind === 'fixed') return fixedColumn(type, path, body, length, indexed.validity, indexed.values);
    return { kind: type.kind === 'utf8' ? 'utf8' : 'binary', length, ...indexed.column };
  }
  switch (type.kind) {
    case 'utf8':
    case 'binary':
      return readBytesColumn(type, path, body, length, validity, context.repairs);
    case 'struct':
      return readStruct(field, body, length, validity, context);
    case 'list':
      return readList(field, type.isLarge, body, length, validity, (child) =>
        readColumn(child, body, null, null, context),
      );
    case 'fixedList':
      return readFixedList(field, type.listLength, body, length, validity, (child) =>
        readColumn(child, body, null, null, context),
      );
    case 'bool':
      return { kind: 'bool', length, validity, values: readBits(body, path, length, validity) };
    default: {
      const width = fixedWidth(type);
      if (width === null) throw body.malformed(path, `${type.kind} cannot be decoded`);
      return fixedColumn(type, path, body, length, validity, readFixed(body, path, length, width, validity));
    }
  }
}

function readStruct(
  field: ArrowField,
  body: ArrowBody,
  length: number,
  validity: Uint8Array | null,
  context: FragmentContext,
): StructArrowColumn {
  const children = field.children.map((child) => readColumn(child, body, length, validity, context));
  return { kind: 'struct', length, validity, children };
}

/** Bytes of a value, null for types that are not of a fixed width. Booleans are expanded to a byte. */
function fixedWidth(type: ArrowType): number | null {
  switch (type.kind) {
    case 'int':
    case 'float':
    case 'fixedBinary':
    case 'opaque':
      return type.width;
    case 'timestamp':
    case 'duration':
      return 8;
    case 'bool':
      return 1;
    default:
      return null;
  }
}

function readFixed(
  body: ArrowBody,
  path: string,
  length: number,
  width: number,
  validity: Uint8Array | null,
): Uint8Array {
  return clearNullRows(body.nextValues(path, length * width), width, validity);
}

function readBits(body: ArrowBody, path: string, length: number, validity: Uint8Array | null): Uint8Array {
  const bits = body.nextValues(path, (length + 7) >> 3);
  body.budget.charge(length);
  const values = expandBits(bits, length);
  if (validity !== null) {
    for (let row = 0; row < length; row++) {
      if (validity[row] === 0) values[row] = 0;
    }
  }
  return values;
}

/** The column of a fixed-width type over its values' bytes, which are aligned. */
function fixedColumn(
  type: ArrowType,
  path: string,
  body: ArrowBody,
  length: number,
  validity: Uint8Array | null,
  bytes: Uint8Array,
): ArrowColumn {
  switch (type.kind) {
    case 'int':
      return { kind: 'int', length, validity, values: intValues(bytes, type.width, type.isSigned) };
    case 'float': {
      const { buffer, byteOffset } = bytes;
      const values =
        type.width === 8 ? new Float64Array(buffer, byteOffset, length) : new Float32Array(buffer, byteOffset, length);
      return { kind: 'float', length, validity, values };
    }
    case 'bool':
      return { kind: 'bool', length, validity, values: bytes };
    case 'timestamp':
    case 'duration':
      return { kind: type.kind, length, validity, values: nanoseconds(bytes, type.nanosPerUnit) };
    case 'fixedBinary':
    case 'opaque':
      return { kind: type.kind, length, validity, width: type.width, values: bytes };
    default:
      throw body.malformed(path, `${type.kind} is not of a fixed width`);
  }
}

function intValues(bytes: Uint8Array, width: 1 | 2 | 4 | 8, isSigned: boolean): IntArray {
  const { buffer, byteOffset, byteLength } = bytes;
  switch (width) {
    case 1:
      return isSigned ? new Int8Array(buffer, byteOffset, byteLength) : bytes;
    case 2:
      if (isSigned) return new Int16Array(buffer, byteOffset, byteLength / 2);
      return new Uint16Array(buffer, byteOffset, byteLength / 2);
    case 4:
      if (isSigned) return new Int32Array(buffer, byteOffset, byteLength / 4);
      return new Uint32Array(buffer, byteOffset, byteLength / 4);
    case 8:
      if (isSigned) return new BigInt64Array(buffer, byteOffset, byteLength / 8);
      return new BigUint64Array(buffer, byteOffset, byteLength / 8);
  }
}

/** Exporters send nanoseconds: other units are multiplied, wrapping at 64 bits. */
function nanoseconds(bytes: Uint8Array, nanosPerUnit: bigint): BigInt64Array {
  const values = new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
  return nanosPerUnit === 1n ? values : values.map((value) => BigInt.asIntN(64, value * nanosPerUnit));
}
