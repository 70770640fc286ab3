import type { BytesColumn, FixedColumn, IdentifierColumn, ListColumn, ValueColumns } from './canonical.ts';

/**
 * Some rows of a table, in the order of `rows`: a table of the same columns. Strings keep their pool, and rows that follow each other
 * become views, so a part costs what its rows cost and not what the table does.
 */
export function takeRows<Table extends { readonly rowCount: number }>(table: Table, rows: Uint32Array): Table {
  return { ...takeColumns(table as unknown as Columns, selectionOf(rows)), rowCount: rows.length } as unknown as Table;
}

type Numbers = Uint8Array | Uint16Array | Uint32Array | Int32Array | BigInt64Array | BigUint64Array | Float64Array;
type Column = FixedColumn<Numbers> | IdentifierColumn | BytesColumn | ListColumn<Numbers> | ValueColumns;
/** What the tables of canonical.ts are made of. */
type Columns = Readonly<Record<string, Column | Numbers | number | null>>;

interface Selection {
  readonly rows: Uint32Array;
  /** The first of rows that follow each other, else -1. */
  readonly first: number;
}

function selectionOf(rows: Uint32Array): Selection {
  const first = rows.length === 0 ? 0 : rows[0]!;
  for (let i = 1; i < rows.length; i++) if (rows[i] !== first + i) return { rows, first: -1 };
  return { rows, first };
}

function takeColumns(columns: Columns, selection: Selection): Columns {
  const taken: Record<string, Columns[string]> = {};
  for (const [name, column] of Object.entries(columns)) {
    if (column === null || typeof column === 'number') taken[name] = column;
    else if (ArrayBuffer.isView(column)) taken[name] = takeValues(column, selection);
    else taken[name] = takeColumn(column, selection);
  }
  return taken;
}

function takeColumn(column: Column, selection: Selection): Column {
  if ('type' in column) return takeColumns(column as unknown as Columns, selection) as unknown as ValueColumns;
  const validity = column.validity === null ? null : takeValues(column.validity, selection);
  if ('pool' in column) return { ...column, indices: takeIndices(column, selection), validity };
  if ('offsets' in column) return { ...takeLists(column, selection), validity };
  if ('width' in column) return { ...column, values: takeWide(column, selection), validity };
  return { values: takeValues(column.values, selection), validity };
}

function takeValues<Values extends Numbers>(values: Values, { rows, first }: Selection): Values {
  if (first >= 0) return values.subarray(first, first + rows.length) as Values;
  const taken = allocate(values, rows.length);
  if (values.BYTES_PER_ELEMENT === 8) {
    // As halves: 64-bit elements would be an object each, and a NaN may lose its bits.
    const [from, to] = [halves(values), halves(taken)];
    for (let i = 0; i < rows.length; i++) {
      to[2 * i] = from[2 * rows[i]!]!;
      to[2 * i + 1] = from[2 * rows[i]! + 1]!;
    }
  } else {
    const [from, to] = [values as Uint8Array, taken as Uint8Array];
    for (let i = 0; i < rows.length; i++) to[i] = from[rows[i]!]!;
  }
  return taken;
}

/** Without indices, the entry of a row is its number. A null row has index 0. */
function takeIndices({ indices, validity }: BytesColumn, selection: Selection): BytesColumn['indices'] {
  if (indices !== null) return takeValues(indices, selection);
  const { rows } = selection;
  return validity === null ? rows : rows.map((row) => (validity[row] === 0 ? 0 : row));
}

function takeWide({ values, width }: IdentifierColumn, { rows, first }: Selection): Uint8Array {
  if (first >= 0) return values.subarray(first * width, (first + rows.length) * width);
  const taken = new Uint8Array(rows.length * width);
  for (let i = 0; i < rows.length; i++) {
    const [from, to] = [rows[i]! * width, i * width];
    for (let at = 0; at < width; at++) taken[to + at] = values[from + at]!;
  }
  return taken;
}

function takeLists({ offsets, values }: ListColumn<Numbers>, { rows, first }: Selection) {
  if (first >= 0) return { offsets: offsets.subarray(first, first + rows.length + 1), values };
  const takenOffsets = new Uint32Array(rows.length + 1);
  for (let i = 0; i < rows.length; i++) {
    takenOffsets[i + 1] = takenOffsets[i]! + offsets[rows[i]! + 1]! - offsets[rows[i]!]!;
  }
  const taken = allocate(values, takenOffsets[rows.length]!);
  const [from, to] = [halves(values), halves(taken)];
  for (let i = 0; i < rows.length; i++) {
    to.set(from.subarray(2 * offsets[rows[i]!]!, 2 * offsets[rows[i]! + 1]!), 2 * takenOffsets[i]!);
  }
  return { offsets: takenOffsets, values: taken };
}

function halves(values: Numbers): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.byteLength / 4);
}

/** An array of the same class. */
function allocate<Values extends Numbers>(values: Values, length: number): Values {
  return new (values.constructor as new (length: number) => Values)(length);
}
