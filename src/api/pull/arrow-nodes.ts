/** Arrow nodes from canonical columns: the rows of several batches, one after the other, in one array. */
import type { BytesColumn, FixedColumn, IdentifierColumn, ListColumn } from '../../otap/index.ts';
import type { ArrowNode } from './arrow-ipc.ts';

/** The rows of one batch; a column that is null as a whole was not on the wire: all its rows are null. */
export interface Rows<Column> {
  readonly column: Column | null;
  readonly rowCount: number;
}

type Numbers = Uint8Array | Uint16Array | Uint32Array | Int32Array | BigInt64Array | BigUint64Array | Float64Array;

/** Numbers of a fixed width. `make` allocates; narrower ids than it are widened. */
export function fixedNode(parts: readonly Rows<FixedColumn<Numbers>>[], make: (length: number) => Numbers): ArrowNode {
  const length = total(parts);
  const values = make(length);
  let at = 0;
  for (const { column, rowCount } of parts) {
    if (column !== null) setAll(values, rowsOf(column.values, rowCount), at);
    at += rowCount;
  }
  return leafNode(parts, [bytesOf(values)]);
}

export function boolNode(parts: readonly Rows<FixedColumn<Uint8Array>>[]): ArrowNode {
  const bits = new Uint8Array((total(parts) + 7) >> 3);
  let at = 0;
  for (const { column, rowCount } of parts) {
    for (let row = 0; row < rowCount; row++, at++) {
      if (column !== null && column.values[row] !== 0) bits[at >> 3]! |= 1 << (at & 7);
    }
  }
  return leafNode(parts, [bits]);
}

export function identifierNode(parts: readonly Rows<IdentifierColumn>[], width: 8 | 16): ArrowNode {
  const values = new Uint8Array(total(parts) * width);
  let at = 0;
  for (const { column, rowCount } of parts) {
    if (column !== null) values.set(column.values.subarray(0, rowCount * width), at);
    at += rowCount * width;
  }
  return leafNode(parts, [values]);
}

/** Strings or bytes, dictionaries resolved. Their bytes have to stay below 2^31: see `bytesLength`. */
export function bytesNode(parts: readonly Rows<BytesColumn>[]): ArrowNode {
  const offsets = new Int32Array(total(parts) + 1);
  let bytes = 0;
  for (const { column, rowCount } of parts) bytes += column === null ? 0 : bytesLength(column, rowCount);
  const data = new Uint8Array(bytes);
  let row = 0;
  let end = 0;
  for (const { column, rowCount } of parts) {
    if (column === null) {
      offsets.fill(end, row + 1, row + 1 + rowCount);
      row += rowCount;
      continue;
    }
    const { bytes: pool, offsets: places } = column.pool;
    for (let i = 0; i < rowCount; i++) {
      if (isPresent(column.validity, i)) {
        const entry = column.indices === null ? i : column.indices[i]!;
        const [from, to] = [places[entry]!, places[entry + 1]!];
        copyBytes(data, end, pool, from, to);
        end += to - from;
      }
      offsets[++row] = end;
    }
  }
  return leafNode(parts, [bytesOf(offsets), data]);
}

/** Bytes of the column's rows, each counted as often as it occurs. */
export function bytesLength({ pool, indices, validity }: BytesColumn, rowCount: number): number {
  const { offsets } = pool;
  let bytes = 0;
  for (let row = 0; row < rowCount; row++) {
    if (!isPresent(validity, row)) continue;
    const entry = indices === null ? row : indices[row]!;
    bytes += offsets[entry + 1]! - offsets[entry]!;
  }
  return bytes;
}

/** Lists of numbers. */
export function listNode<Values extends BigUint64Array | Float64Array>(
  parts: readonly Rows<ListColumn<Values>>[],
  make: (length: number) => Values,
): ArrowNode {
  const { offsets, items, ranges } = listRanges(parts);
  const values = make(items);
  for (const { column, from, to, at } of ranges) setAll(values, column.values.subarray(from, to), at);
  return {
    ...leafNode(parts, [offsets]),
    children: [{ length: items, nullCount: 0, validity: null, buffers: [bytesOf(values)], children: [] }],
  };
}

/** Two columns of lists that are one list of structs on the wire: member i of a row is item i of both. */
export function pairedListNode(
  first: readonly Rows<ListColumn<Float64Array>>[],
  second: readonly Rows<ListColumn<Float64Array>>[],
): ArrowNode {
  const one = listNode(first, (length) => new Float64Array(length));
  const other = listNode(second, (length) => new Float64Array(length));
  const items = one.children[0]!;
  const struct = { length: items.length, nullCount: 0, validity: null, buffers: [] };
  // A wire with one of the two only has nothing to put beside it.
  const isPaired = other.children[0]!.length === items.length;
  const partner = isPaired ? other.children[0]! : nullNumbers(items.length);
  return { ...one, children: [{ ...struct, children: [items, partner] }] };
}

/** A struct that is null where `isNull` says so. */
export function structNode(length: number, validity: Validity, children: readonly ArrowNode[]): ArrowNode {
  return { length, ...validity, buffers: [], children };
}

/** A list of structs, or of anything, by the number of items a row; null: the row is null. */
export function groupNode(counts: readonly (number | null)[], items: ArrowNode): ArrowNode {
  const offsets = new Int32Array(counts.length + 1);
  counts.forEach((count, row) => {
    offsets[row + 1] = offsets[row]! + (count ?? 0);
  });
  const validity = validityOf(
    counts.map((count) => ({ column: { validity: count === null ? NO : null }, rowCount: 1 })),
  );
  return { length: counts.length, ...validity, buffers: [bytesOf(offsets)], children: [items] };
}

export type Validity = Pick<ArrowNode, 'validity' | 'nullCount'>;

/** One bit a row, from one byte a row. */
export function validityOf(parts: readonly Rows<{ readonly validity: Uint8Array | null }>[]): Validity {
  const bits = new Uint8Array((total(parts) + 7) >> 3);
  let at = 0;
  let nullCount = 0;
  for (const { column, rowCount } of parts) {
    for (let row = 0; row < rowCount; row++, at++) {
      if (column !== null && isPresent(column.validity, row)) bits[at >> 3]! |= 1 << (at & 7);
      else nullCount++;
    }
  }
  return { nullCount, validity: nullCount === 0 ? null : bits };
}

/** The bytes of a typed array. */
export function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

export function total(parts: readonly { readonly rowCount: number }[]): number {
  return parts.reduce((sum, { rowCount }) => sum + rowCount, 0);
}

const NO = Uint8Array.of(0);
/** Below it a loop is faster than a call. */
const COPY_LOOP_BYTES = 24;

function leafNode(
  parts: readonly Rows<{ readonly validity: Uint8Array | null }>[],
  buffers: readonly Uint8Array[],
): ArrowNode {
  return { length: total(parts), ...validityOf(parts), buffers, children: [] };
}

interface ListRange<Values> {
  readonly column: ListColumn<Values & ArrayBufferView>;
  readonly from: number;
  readonly to: number;
  readonly at: number;
}

/** Offsets of the lists behind each other, and where their items come from; null rows have none. */
function listRanges<Values extends ArrayBufferView>(parts: readonly Rows<ListColumn<Values>>[]) {
  const offsets = new Int32Array(total(parts) + 1);
  const ranges: ListRange<Values>[] = [];
  let row = 0;
  let items = 0;
  for (const { column, rowCount } of parts) {
    for (let i = 0; i < rowCount; i++) {
      if (column !== null && isPresent(column.validity, i)) {
        const [from, to] = [column.offsets[i]!, column.offsets[i + 1]!];
        if (to > from) ranges.push({ column, from, to, at: items });
        items += to - from;
      }
      offsets[++row] = items;
    }
  }
  return { offsets: bytesOf(offsets), items, ranges };
}

function nullNumbers(length: number): ArrowNode {
  const validity = new Uint8Array((length + 7) >> 3);
  return { length, nullCount: length, validity, buffers: [new Uint8Array(8 * length)], children: [] };
}

function isPresent(validity: Uint8Array | null, row: number): boolean {
  return validity === null || validity[row] !== 0;
}

function rowsOf(values: Numbers, rowCount: number): Numbers {
  return values.length === rowCount ? values : values.subarray(0, rowCount);
}

/** Both hold numbers, or both hold big ones. */
function setAll(target: Numbers, source: Numbers, at: number): void {
  (target as Float64Array).set(source as Float64Array, at);
}

function copyBytes(target: Uint8Array, at: number, source: Uint8Array, from: number, to: number): void {
  if (to - from > COPY_LOOP_BYTES) target.set(source.subarray(from, to), at);
  else for (let i = from; i < to; i++) target[at + i - from] = source[i]!;
}
