import type { BytesColumn, BytesPool, FixedColumn, IdentifierColumn, ListColumn, ValueColumns } from './canonical.ts';

type Numbers = Uint8Array | Uint16Array | Uint32Array | Int32Array | BigInt64Array | BigUint64Array | Float64Array;
type Column = FixedColumn<Numbers> | IdentifierColumn | BytesColumn | ListColumn<Numbers> | ValueColumns;
/** What the tables of canonical.ts are made of. */
type Columns = Readonly<Record<string, Column | Numbers | number | null>>;

/** A table of one of several batches. */
export interface TablePart {
  readonly table: Columns & { readonly rowCount: number };
  /** What is added to the ids in a column; null where there are none. */
  readonly shiftOf: (column: string) => number | null;
}

/** The rows of tables of one kind, one table after the other. A column that a table has not is null in its rows. */
export function concatColumns(parts: readonly TablePart[]): Columns & { readonly rowCount: number } {
  const counts = parts.map(({ table }) => table.rowCount);
  const rowCount = counts.reduce((sum, count) => sum + count, 0);
  const whole: Record<string, Columns[string]> = {};
  for (const name of Object.keys(parts[0]!.table)) {
    const columns = parts.map(({ table }) => table[name] as Column | Numbers | null);
    const shifts = parts.map(({ shiftOf }) => shiftOf(name));
    if (name === 'rowCount') whole[name] = rowCount;
    else if (name === 'parentValidity') whole[name] = concatParentValidity(columns as (Uint8Array | null)[], counts);
    else if (columns.some((column) => ArrayBuffer.isView(column))) {
      whole[name] = concatParents(parts, columns as Uint32Array[], shifts, rowCount);
    } else whole[name] = concatColumn(columns as (Column | null)[], { counts, shifts });
  }
  return { ...whole, rowCount };
}

interface Sizes {
  /** Rows of each part. */
  readonly counts: readonly number[];
  readonly shifts?: readonly (number | null)[];
}

function concatColumn(columns: readonly (Column | null)[], sizes: Sizes): Column | null {
  const first = columns.find((column) => column !== null);
  if (first === undefined || first === null) return null;
  if ('type' in first) return concatValueColumns(columns as readonly (ValueColumns | null)[], sizes);
  const validity = concatValidity(columns as readonly (FixedColumn<Numbers> | null)[], sizes.counts);
  if ('pool' in first) return { ...concatBytes(columns as readonly (BytesColumn | null)[], first, sizes), validity };
  if ('offsets' in first) {
    return { ...concatLists(columns as readonly (ListColumn<Numbers> | null)[], first, sizes), validity };
  }
  if ('width' in first) {
    const { width } = first;
    const bytes = columns.map((column) => column as IdentifierColumn | null);
    return { width, values: concatValues(bytes, sizes.counts, { like: first.values, width }), validity };
  }
  const fixed = columns as readonly (FixedColumn<Numbers> | null)[];
  const { shifts, counts } = sizes;
  if (shifts === undefined || shifts[0] === null) {
    return { values: concatValues(fixed, counts, { like: first.values, width: 1 }), validity };
  }
  return { values: concatIds(fixed as readonly (FixedColumn<Uint32Array> | null)[], sizes), validity };
}

/** The body of a record: a part without one has no values of any type. */
function concatValueColumns(columns: readonly (ValueColumns | null)[], { counts }: Sizes): ValueColumns {
  const types = columns.map((column) => (column === null ? null : { values: column.type, validity: null }));
  const pick = <Name extends Exclude<keyof ValueColumns, 'type'>>(name: Name): ValueColumns[Name] =>
    concatColumn(
      columns.map((column) => column?.[name] ?? null),
      { counts },
    ) as ValueColumns[Name];
  return {
    type: concatValues(types, counts, { like: new Uint8Array(0), width: 1 }),
    str: pick('str'),
    int: pick('int'),
    double: pick('double'),
    bool: pick('bool'),
    bytes: pick('bytes'),
    ser: pick('ser'),
  };
}

function concatValidity(
  columns: readonly ({ readonly validity: Uint8Array | null } | null)[],
  counts: readonly number[],
): Uint8Array | null {
  if (columns.every((column) => column?.validity === null)) return null;
  const whole = new Uint8Array(total(counts));
  let at = 0;
  for (const [i, column] of columns.entries()) {
    const count = counts[i]!;
    if (column?.validity === null) whole.fill(1, at, at + count);
    else if (column !== null) whole.set(column!.validity.subarray(0, count), at);
    at += count;
  }
  return whole;
}

function concatParentValidity(parts: readonly (Uint8Array | null)[], counts: readonly number[]): Uint8Array | null {
  return concatValidity(
    parts.map((validity) => ({ validity })),
    counts,
  );
}

/** Columns that are plain arrays: the types of attributes' values, and their parents, which are ids. */
function concatParents(
  parts: readonly TablePart[],
  columns: readonly Numbers[],
  shifts: readonly (number | null)[],
  rowCount: number,
): Numbers {
  const whole = allocate(columns[0]!, rowCount);
  let at = 0;
  for (const [i, column] of columns.entries()) {
    const { table } = parts[i]!;
    copy(column.subarray(0, table.rowCount) as Numbers, whole, at);
    if (shifts[i] !== null) {
      shift(whole as Uint32Array, { from: at, by: shifts[i]!, validity: table['parentValidity'] as Uint8Array | null });
    }
    at += table.rowCount;
  }
  return whole;
}

function concatIds(columns: readonly (FixedColumn<Uint32Array> | null)[], { counts, shifts = [] }: Sizes): Uint32Array {
  const whole = new Uint32Array(total(counts));
  let at = 0;
  for (const [i, column] of columns.entries()) {
    const count = counts[i]!;
    if (column !== null) {
      whole.set(column.values.subarray(0, count), at);
      shift(whole.subarray(0, at + count), { from: at, by: shifts[i] ?? 0, validity: column.validity });
    }
    at += count;
  }
  return whole;
}

/** The value under a null row stays 0. */
function shift(
  ids: Uint32Array,
  { from, by, validity }: { readonly from: number; readonly by: number; readonly validity: Uint8Array | null },
): void {
  if (by === 0) return;
  for (let row = from; row < ids.length; row++) {
    if (validity === null || validity[row - from] !== 0) ids[row]! += by;
  }
}

function concatValues<Values extends Numbers>(
  columns: readonly ({ readonly values: Numbers } | null)[],
  counts: readonly number[],
  { like, width }: { readonly like: Values; readonly width: number },
): Values {
  const whole = allocate(like, total(counts) * width);
  let at = 0;
  for (const [i, column] of columns.entries()) {
    const length = counts[i]! * width;
    if (column !== null) copy(column.values.subarray(0, length) as Numbers, whole, at);
    at += length;
  }
  return whole;
}

function concatLists(
  columns: readonly (ListColumn<Numbers> | null)[],
  like: ListColumn<Numbers>,
  { counts }: Sizes,
): { offsets: Uint32Array; values: Numbers } {
  const rowCount = total(counts);
  const offsets = new Uint32Array(rowCount + 1);
  const pieces: Numbers[] = [];
  let row = 0;
  let end = 0;
  for (const [i, column] of columns.entries()) {
    const count = counts[i]!;
    const start = column?.offsets[0] ?? 0;
    for (let j = 1; j <= count; j++) offsets[row + j] = end + (column === null ? 0 : column.offsets[j]! - start);
    row += count;
    end = offsets[row]!;
    if (column !== null) pieces.push(column.values.subarray(start, column.offsets[count]) as Numbers);
  }
  const values = allocate(like.values, end);
  let at = 0;
  for (const piece of pieces) {
    copy(piece, values, at);
    at += piece.length;
  }
  return { offsets, values };
}

/** Parts of one stream share the pool of its dictionary. Otherwise a new pool has what the rows need, once for each entry of a dictionary. */
function concatBytes(
  columns: readonly (BytesColumn | null)[],
  { kind, pool }: BytesColumn,
  { counts }: Sizes,
): Pick<BytesColumn, 'kind' | 'pool' | 'indices'> {
  const indices = new Uint32Array(total(counts));
  const isShared = columns.every((column) => column === null || column.pool === pool);
  const made = isShared ? null : new PoolBuilder();
  let at = 0;
  for (const [i, column] of columns.entries()) {
    const count = counts[i]!;
    for (let row = 0; column !== null && row < count; row++) {
      if (column.validity !== null && column.validity[row] === 0) continue;
      const entry = column.indices === null ? row : column.indices[row]!;
      indices[at + row] = made === null ? entry : made.indexOf(column.pool, entry, column.indices !== null);
    }
    at += count;
  }
  return { kind, pool: made?.finish() ?? pool, indices };
}

/** Entries of several pools as one pool. */
class PoolBuilder {
  readonly #sources: { readonly pool: BytesPool; readonly entry: number }[] = [];
  readonly #known = new Map<BytesPool, Map<number, number>>();

  /** The number that an entry has here. `mayRepeat`: other rows may have it too. */
  indexOf(pool: BytesPool, entry: number, mayRepeat: boolean): number {
    if (!mayRepeat) return this.#sources.push({ pool, entry }) - 1;
    let known = this.#known.get(pool);
    if (known === undefined) this.#known.set(pool, (known = new Map()));
    let index = known.get(entry);
    if (index === undefined) known.set(entry, (index = this.#sources.push({ pool, entry }) - 1));
    return index;
  }

  finish(): BytesPool {
    const length = this.#sources.length;
    const offsets = new Uint32Array(length + 1);
    for (const [i, { pool, entry }] of this.#sources.entries()) {
      offsets[i + 1] = offsets[i]! + pool.offsets[entry + 1]! - pool.offsets[entry]!;
    }
    const bytes = new Uint8Array(offsets[length]!);
    for (const [i, { pool, entry }] of this.#sources.entries()) {
      bytes.set(pool.bytes.subarray(pool.offsets[entry], pool.offsets[entry + 1]), offsets[i]!);
    }
    return { bytes, offsets, length };
  }
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

function copy(from: Numbers, to: Numbers, at: number): void {
  (to as Uint8Array).set(from as Uint8Array, at);
}

/** An array of the same class. */
function allocate<Values extends Numbers>(values: Values, length: number): Values {
  return new (values.constructor as new (length: number) => Values)(length);
}
