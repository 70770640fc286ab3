/**
 * Checks an OTLP request in protobuf and counts what is in it: one walk over tags and lengths by the tables of otlp-messages.ts. Runs
 * at receipt, before the bytes are logged, and again before decoding, which then needs no checks and no growing columns.
 */
import { BatchMalformedError, BatchTooLargeError, LIMITS, type Signal } from '../base/index.ts';
import {
  OTLP_MESSAGES,
  OTLP_REQUESTS,
  OTLP_ROWS,
  type OtlpField,
  type OtlpKind,
  type OtlpMessage,
} from './otlp-messages.ts';
import { WIRE_TYPES } from './protobuf-reader.ts';

/** A request that is sound, and how much is in it. */
export interface InspectedRequest {
  /** Occurrences of each message of OTLP_MESSAGES by its id, rejected rows and what is in them included. */
  readonly counts: Uint32Array;
  /** Log records, spans or data points without those rejected. */
  readonly rows: number;
  readonly rejectedRows: number;
  /** Where the content of each rejected row begins, or null when there is none. May name points that other data replaced. */
  readonly rejectedAt: ReadonlySet<number> | null;
  readonly rejection: string | null;
}

/** Walks a request. Throws BatchMalformedError with the field and the position, BatchTooLargeError past a limit on rows. */
export function inspectOtlpProtobuf(signal: Signal, bytes: Uint8Array): InspectedRequest {
  const state: WalkState = {
    bytes,
    counts: new Uint32Array(OTLP_MESSAGES.length),
    at: 0,
    rowAt: NO_ROW,
    rows: 0,
    rejectedRows: 0,
    data: NO_DATA,
    dataRows: 0,
    dataRejectedRows: 0,
    rejectedAt: null,
    rejection: null,
  };
  walk(state, OTLP_REQUESTS[signal].id, 0, bytes.length, 0);
  checkRows(state.counts);
  const { counts, rows, rejectedRows, rejectedAt, rejection } = state;
  return { counts, rows, rejectedRows, rejectedAt, rejection };
}

interface WalkState {
  readonly bytes: Uint8Array;
  readonly counts: Uint32Array;
  /** Second result of reading a varint: where it ends. */
  at: number;
  /** Where the row at hand begins. */
  rowAt: number;
  /** Rows so far without those rejected, and those rejected; points that other data of their metric replaced are in neither. */
  rows: number;
  rejectedRows: number;
  /** The message that holds the points of the metric at hand, and what `rows` and `rejectedRows` were when it began. */
  data: number;
  dataRows: number;
  dataRejectedRows: number;
  rejectedAt: Set<number> | null;
  rejection: string | null;
}

const NO_ROW = -1;
const NO_DATA = -1;

/** Field numbers of OTLP end at 16; what is above the table's width is unknown. */
const TABLE_BITS = 5;
const TABLE_WIDTH = 1 << TABLE_BITS;

/** A cell of the table: what to do with a field of a known message. 0 for an unknown field. */
const CELL = { WIRE_TYPE: 0x7, KNOWN: 0x8, PACKABLE: 0x10, NARROW: 0x20, LENGTH_SHIFT: 8, CHILD: 16 } as const;
const NO_CHILD = 0xffff;
/** Lengths that identifiers may have besides 0. */
const IDENTIFIER_BYTES: Partial<Record<OtlpKind, number>> = { trace_id: 16, span_id: 8 };

// Signed: numbers above 2^31 are not small integers, and a walk over unsigned cells took six times as long (measured).
const table = new Int32Array(OTLP_MESSAGES.length * TABLE_WIDTH);
const isRow = new Uint8Array(OTLP_MESSAGES.length);
const isNesting = new Uint8Array(OTLP_MESSAGES.length);
/** Metrics, and the messages of which a metric has one: their points count only when no other kind follows. */
const isMetricPart = new Uint8Array(OTLP_MESSAGES.length);

isMetricPart[OTLP_ROWS.metrics.id] = 1;
for (const { isOneof, message } of OTLP_ROWS.metrics.fields) {
  if (isOneof && message !== null) isMetricPart[message.id] = 1;
}
const rootIds: Readonly<Record<Signal, number>> = {
  logs: OTLP_ROWS.logs.id,
  traces: OTLP_ROWS.spans.id,
  metrics: OTLP_ROWS.metrics.id,
};
/** Tags of the fields of KeyValue, and of the values of AnyValue that `isPlainPair` knows. */
const PAIR = { KEY: 0x0a, VALUE: 0x12, TEXT: 0x0a, INT: 0x18, DOUBLE: 0x21 } as const;
/** The AnyValue of each kind of KeyValue. */
const pairValues = new Int32Array(OTLP_MESSAGES.length).fill(NO_CHILD);
for (const { id, fields } of OTLP_MESSAGES) {
  const [key, value] = fields;
  if (key?.name === 'key' && value?.name === 'value') pairValues[id] = value.message?.id ?? NO_CHILD;
}
/** Messages that become rows of a table of their own. */
const tableIds = Object.values(OTLP_ROWS)
  .filter((message): message is OtlpMessage => 'id' in message && message.fields.length > 0)
  .map(({ id }) => id);

/** Occurrences of each message above which a request has too many rows for certain: the rest of it need not be walked. */
const countsMax = new Int32Array(OTLP_MESSAGES.length).fill(0x7fffffff);

for (const id of tableIds) countsMax[id] = LIMITS.batchRowsMax;
// Resources and scopes without rows become none, but each takes room until then.
for (const resource of Object.values(OTLP_ROWS.resources)) {
  countsMax[resource.id] = LIMITS.batchRowsMax;
  for (const { isRepeated, message } of resource.fields) {
    if (isRepeated && message !== null) countsMax[message.id] = LIMITS.batchRowsMax;
  }
}
for (const id of Object.values(rootIds)) countsMax[id] = LIMITS.rootRowsMax;
for (const message of OTLP_MESSAGES) {
  isRow[message.id] = message.isRow ? 1 : 0;
  isNesting[message.id] = message.isNesting ? 1 : 0;
  for (const field of message.fields) table[message.id * TABLE_WIDTH + field.number] = cellOf(field);
}

function cellOf({ wireType, kind, message, elements }: OtlpField): number {
  const child = message?.id ?? elements?.id ?? NO_CHILD;
  const packable = elements === null ? 0 : CELL.PACKABLE;
  const length = (IDENTIFIER_BYTES[kind] ?? 0) << CELL.LENGTH_SHIFT;
  return wireType | CELL.KNOWN | packable | length | (child << CELL.CHILD);
}

function walk(state: WalkState, message: number, start: number, end: number, depth: number): void {
  const { bytes, counts } = state;
  const cells = message << TABLE_BITS;
  let at = start;
  while (at < end) {
    const fieldAt = at;
    let tag = bytes[at++]!;
    if (tag >= 0x80) {
      tag = readTag(state, message, fieldAt, end);
      at = state.at;
    }
    const field = tag >>> 3;
    const wireType = tag & 7;
    const cell = field < TABLE_WIDTH ? table[cells + field]! : 0;
    if (cell === 0) {
      if (field === 0) throw malformed(message, field, fieldAt, 'its field number is 0');
      at = skipUnknown(state, message, tag, fieldAt, at, end);
      continue;
    }
    if (wireType !== (cell & CELL.WIRE_TYPE) && !(wireType === WIRE_TYPES.BYTES && (cell & CELL.PACKABLE) !== 0)) {
      throw malformed(message, field, fieldAt, `its wire type is ${wireType}, not ${cell & CELL.WIRE_TYPE}`);
    }
    if (wireType === WIRE_TYPES.BYTES) {
      let length = at < end ? bytes[at]! : 0x80;
      if (length < 0x80) {
        at++;
      } else {
        length = readLength(state, message, field, at, end);
        at = state.at;
      }
      const valueEnd = at + length;
      if (valueEnd > end) {
        const left = end - at;
        throw malformed(message, field, fieldAt, `its value of ${length} bytes is longer than what follows, ${left}`);
      }
      const child = cell >>> CELL.CHILD;
      if (child !== NO_CHILD) {
        if ((cell & CELL.PACKABLE) !== 0) {
          counts[child]! += countPacked(state, cell & CELL.WIRE_TYPE, message, field, at, valueEnd);
        } else {
          if (++counts[child]! > countsMax[child]!) throw tooMany(child);
          const pairValue = pairValues[child]!;
          if (pairValue !== NO_CHILD && isPlainPair(bytes, at, valueEnd)) counts[pairValue]!++;
          else enter(state, child, at, valueEnd, depth);
        }
      } else if (length !== 0) {
        const wanted = (cell >>> CELL.LENGTH_SHIFT) & 0xff;
        if (wanted !== 0 && length !== wanted) {
          reject(state, message, field, fieldAt, `its length is ${length}, not ${wanted}`);
        }
      }
      at = valueEnd;
    } else {
      if (wireType === WIRE_TYPES.VARINT) {
        while (at < end && bytes[at]! >= 0x80) at++;
        at++;
        checkVarint(state, message, field, fieldAt, at, end);
      } else {
        at += wireType === WIRE_TYPES.FIXED64 ? 8 : 4;
      }
      if (at > end) throw malformed(message, field, fieldAt, 'it is truncated');
      if ((cell & CELL.PACKABLE) !== 0) counts[cell >>> CELL.CHILD]!++;
    }
  }
}

/**
 * Whether a KeyValue is a key and one text or number, in few bytes and in this order: most attributes are, and two walks less for each of
 * them make the walk of usual logs half as long (measured). Everything else, sound or not, is walked.
 */
function isPlainPair(bytes: Uint8Array, start: number, end: number): boolean {
  const keyBytes = bytes[start + 1]!;
  const valueAt = start + 2 + keyBytes;
  const valueBytes = end - valueAt - 2;
  if (valueBytes < 2 || valueBytes >= 0x80 || keyBytes >= 0x80) return false;
  if (bytes[start] !== PAIR.KEY || bytes[valueAt] !== PAIR.VALUE || bytes[valueAt + 1] !== valueBytes) return false;
  switch (bytes[valueAt + 2]) {
    case PAIR.TEXT:
      return bytes[valueAt + 3] === valueBytes - 2;
    case PAIR.DOUBLE:
      return valueBytes === 9;
    case PAIR.INT: {
      let at = valueAt + 3;
      while (at < end && bytes[at]! >= 0x80) at++;
      return at === end - 1 && valueBytes <= VARINT_BYTES_MAX;
    }
    default:
      return false;
  }
}

function enter(state: WalkState, child: number, start: number, end: number, depth: number): void {
  if (isNesting[child] !== 0) {
    if (depth === LIMITS.cborDepthMax) {
      reject(state, child, 1, start, TOO_DEEP);
      return;
    }
    walk(state, child, start, end, depth + 1);
  } else if (isRow[child] !== 0) {
    state.rowAt = start;
    state.rows++;
    walk(state, child, start, end, depth);
    state.rowAt = NO_ROW;
  } else if (isMetricPart[child] !== 0) {
    enterMetricPart(state, child);
    walk(state, child, start, end, depth);
  } else {
    walk(state, child, start, end, depth);
  }
}

/** Keeps book of the data of the metric at hand: data of another kind replaces what came before. */
function enterMetricPart(state: WalkState, child: number): void {
  if (child === OTLP_ROWS.metrics.id) {
    state.data = NO_DATA;
    return;
  }
  if (child === state.data) return;
  if (state.data !== NO_DATA) {
    state.rows = state.dataRows;
    state.rejectedRows = state.dataRejectedRows;
    if (state.rejectedRows === 0) state.rejection = null;
  }
  state.data = child;
  state.dataRows = state.rows;
  state.dataRejectedRows = state.rejectedRows;
}

const TOO_DEEP = `values are nested deeper than ${LIMITS.cborDepthMax}`;

/**
 * The row at hand is left out; outside of rows the whole request is refused. Only the first error is made: each costs 10 us, and a
 * request may have millions of faults.
 */
function reject(state: WalkState, message: number, field: number, fieldAt: number, reason: string): void {
  if (state.rowAt === NO_ROW) throw malformed(message, field, fieldAt, reason);
  state.rejectedAt ??= new Set();
  if (!state.rejectedAt.has(state.rowAt)) {
    state.rejectedAt.add(state.rowAt);
    state.rows--;
    state.rejectedRows++;
  }
  state.rejection ??= malformed(message, field, fieldAt, reason).message;
}

const VARINT_BYTES_MAX = 10;
/** A varint's tenth byte has one bit left. */
const TENTH_BYTE_MAX = 1;

/** Checks the varint that ends at `at` and began behind the one-byte tag or the longer one at `fieldAt`. */
function checkVarint(state: WalkState, message: number, field: number, fieldAt: number, at: number, end: number): void {
  if (at - fieldAt <= VARINT_BYTES_MAX || at > end) return;
  const { bytes } = state;
  let begin = fieldAt;
  while (bytes[begin]! >= 0x80) begin++;
  begin++;
  const length = at - begin;
  if (length > VARINT_BYTES_MAX || (length === VARINT_BYTES_MAX && bytes[at - 1]! > TENTH_BYTE_MAX)) {
    throw malformed(message, field, fieldAt, 'a varint is longer than 64 bits');
  }
}

/** A tag of several bytes; its end goes to `state.at`. */
function readTag(state: WalkState, message: number, start: number, end: number): number {
  const value = readVarint(state, message, 0, start, end);
  if (value > 0xffffffff) throw malformed(message, 0, start, 'a tag is longer than 32 bits');
  return value;
}

function readLength(state: WalkState, message: number, field: number, start: number, end: number): number {
  return readVarint(state, message, field, start, end);
}

/** A varint as a number (exact below 2^53, and no less than 2^53 above); its end goes to `state.at`. */
function readVarint(state: WalkState, message: number, field: number, start: number, end: number): number {
  const { bytes } = state;
  let value = 0;
  let scale = 1;
  for (let i = 0; i < VARINT_BYTES_MAX; i++) {
    if (start + i >= end) throw malformed(message, field, start, 'a varint is truncated');
    const byte = bytes[start + i]!;
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte < 0x80) {
      if (i === VARINT_BYTES_MAX - 1 && byte > TENTH_BYTE_MAX) break;
      state.at = start + i + 1;
      return value;
    }
  }
  throw malformed(message, field, start, 'a varint is longer than 64 bits');
}

function skipUnknown(
  state: WalkState,
  message: number,
  tag: number,
  fieldAt: number,
  start: number,
  end: number,
): number {
  const field = tag >>> 3;
  let at = start;
  switch (tag & 7) {
    case WIRE_TYPES.VARINT:
      readVarint(state, message, field, start, end);
      return state.at;
    case WIRE_TYPES.FIXED64:
      at += 8;
      break;
    case WIRE_TYPES.BYTES: {
      const length = readLength(state, message, field, start, end);
      at = state.at + length;
      break;
    }
    case WIRE_TYPES.FIXED32:
      at += 4;
      break;
    default:
      throw malformed(message, field, fieldAt, `its wire type is ${tag & 7}`);
  }
  if (at > end) throw malformed(message, field, fieldAt, 'it is truncated');
  return at;
}

/** Elements of a packed field. */
function countPacked(
  state: WalkState,
  wireType: number,
  message: number,
  field: number,
  start: number,
  end: number,
): number {
  if (wireType === WIRE_TYPES.FIXED64) {
    const length = end - start;
    if (length % 8 !== 0) throw malformed(message, field, start, `its length is ${length}, not a multiple of 8`);
    return length / 8;
  }
  let count = 0;
  for (let at = start; at < end; count++) {
    readVarint(state, message, field, at, end);
    at = state.at;
  }
  return count;
}

/** Elements of number lists: one byte on the wire may be eight in a column. */
const elementIds = OTLP_MESSAGES.flatMap(({ fields }) => fields.map(({ elements }) => elements?.id ?? []).flat());
const ELEMENT_BYTES = 8;

function checkRows(counts: Uint32Array): void {
  let rows = 0;
  for (const id of tableIds) rows += counts[id]!;
  if (rows > LIMITS.batchRowsMax) throw tooLarge('rows of all tables', rows, LIMITS.batchRowsMax);
  for (const id of elementIds) {
    const bytes = counts[id]! * ELEMENT_BYTES;
    if (bytes > LIMITS.batchDecodedBytesMax) {
      throw tooLarge(`bytes of ${OTLP_MESSAGES[id]!.name}`, bytes, LIMITS.batchDecodedBytesMax);
    }
  }
}

function tooMany(message: number): BatchTooLargeError {
  const { name } = OTLP_MESSAGES[message]!;
  const max = countsMax[message]!;
  return new BatchTooLargeError(`Cannot take the request: it has more than ${max} of ${name}`, { max });
}

function tooLarge(what: string, value: number, max: number): BatchTooLargeError {
  return new BatchTooLargeError(`Cannot take the request: ${what} are ${value}, above ${max}`, { value, max });
}

function malformed(message: number, number: number, position: number, reason: string): BatchMalformedError {
  const { name, fields } = OTLP_MESSAGES[message]!;
  const fieldName = fields.find((field) => field.number === number)?.name ?? `field ${number}`;
  const field = number === 0 ? name : `${name}.${fieldName}`;
  return new BatchMalformedError(`Cannot read ${field}: ${reason}, at byte ${position}`, { field, position });
}
