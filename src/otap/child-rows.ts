import type { AttributesTable, IdColumn } from './canonical.ts';

/** Ids up to so many times the number of rows are looked up in an array, others by bisection. */
const DENSE_FACTOR = 4;
const DENSE_IDS_MIN = 1024;

/** A table whose rows belong to those of another. */
export type ChildTable = AttributesTable | { readonly rowCount: number; readonly parentId: IdColumn };

/**
 * The rows of a table by the id of their parent, in the order of the table. Reading is by `find` (or `take`), then
 * `rows[from .. to)`. Rows whose parent is null are under no id.
 */
export class ChildRows {
  /** Row numbers, grouped by parent. */
  readonly rows: Uint32Array;
  from = 0;
  to = 0;
  readonly #rowCount: number;
  /** Where the rows of a slot begin in `rows`; one more than there are slots. */
  readonly #starts: Uint32Array;
  /** The parent ids in order, one a slot; null when a slot is an id. */
  readonly #ids: Uint32Array | null;
  readonly #isTaken: Uint8Array;
  #isSeen: Uint8Array | null = null;
  #takenRows = 0;

  constructor(parentId: IdColumn['values'], validity: Uint8Array | null, rowCount: number) {
    this.#rowCount = rowCount;
    let idMax = -1;
    for (let row = 0; row < rowCount; row++) {
      if (parentId[row]! > idMax && (validity === null || validity[row] !== 0)) idMax = parentId[row]!;
    }
    const isDense = idMax < DENSE_FACTOR * rowCount + DENSE_IDS_MIN;
    const grouped = isDense
      ? groupDense(parentId, validity, rowCount, idMax)
      : groupSparse(parentId, validity, rowCount);
    this.rows = grouped.rows;
    this.#starts = grouped.starts;
    this.#ids = grouped.ids;
    this.#isTaken = new Uint8Array(grouped.starts.length - 1);
  }

  /** Attributes tables keep the two apart, others have them in a column. */
  static of(table: ChildTable): ChildRows {
    if ('parentValidity' in table) return new ChildRows(table.parentId, table.parentValidity, table.rowCount);
    return new ChildRows(table.parentId.values, table.parentId.validity, table.rowCount);
  }

  /** Rows that nobody took: those without a parent, or whose parent was not asked for. */
  get untakenRows(): number {
    return this.#rowCount - this.#takenRows;
  }

  /** Sets `from` and `to` to the children of an id; false when it has none. A negative id is none. */
  find(id: number): boolean {
    return this.#open(this.#slot(id));
  }

  /** Like `find`, and counts the rows as taken. */
  take(id: number): boolean {
    const slot = this.#slot(id);
    if (!this.#open(slot)) return false;
    if (this.#isTaken[slot] === 0) {
      this.#isTaken[slot] = 1;
      this.#takenRows += this.to - this.from;
    }
    return true;
  }

  /** The children of the ids that `parents` have in `rows`, each once, in the order in which the ids come. */
  childrenOf(parents: IdColumn | null, rows: Uint32Array): Uint32Array {
    if (parents === null) return new Uint32Array(0);
    const { values, validity } = parents;
    const slots = new Uint32Array(rows.length);
    this.#isSeen ??= new Uint8Array(this.#isTaken.length);
    const isSeen = this.#isSeen;
    let slotCount = 0;
    let childCount = 0;
    for (const row of rows) {
      if (validity !== null && validity[row] === 0) continue;
      const slot = this.#slot(values[row]!);
      if (slot < 0 || isSeen[slot] !== 0) continue;
      isSeen[slot] = 1;
      slots[slotCount++] = slot;
      childCount += this.#starts[slot + 1]! - this.#starts[slot]!;
    }
    const children = new Uint32Array(childCount);
    let at = 0;
    for (let i = 0; i < slotCount; i++) {
      const slot = slots[i]!;
      isSeen[slot] = 0;
      for (let child = this.#starts[slot]!; child < this.#starts[slot + 1]!; child++)
        children[at++] = this.rows[child]!;
    }
    return children;
  }

  #open(slot: number): boolean {
    if (slot < 0) return false;
    this.from = this.#starts[slot]!;
    this.to = this.#starts[slot + 1]!;
    return this.from < this.to;
  }

  #slot(id: number): number {
    const ids = this.#ids;
    if (ids === null) return id >= 0 && id < this.#starts.length - 1 ? id : -1;
    let low = 0;
    let high = ids.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const value = ids[middle]!;
      if (value === id) return middle;
      if (value < id) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }
}

/** The id in a row, -1 for none. */
export function idAt(column: IdColumn | null, row: number): number {
  if (column === null || (column.validity !== null && column.validity[row] === 0)) return -1;
  return column.values[row]!;
}

interface Grouped {
  readonly rows: Uint32Array;
  readonly starts: Uint32Array;
  readonly ids: Uint32Array | null;
}

/** Counts the rows of each id, then puts them there. */
function groupDense(
  parentId: IdColumn['values'],
  validity: Uint8Array | null,
  rowCount: number,
  idMax: number,
): Grouped {
  const starts = new Uint32Array(idMax + 2);
  for (let row = 0; row < rowCount; row++) {
    if (validity === null || validity[row] !== 0) starts[parentId[row]! + 1]!++;
  }
  for (let id = 0; id <= idMax; id++) starts[id + 1]! += starts[id]!;
  const rows = new Uint32Array(starts[idMax + 1]!);
  const next = starts.slice(0, idMax + 1);
  for (let row = 0; row < rowCount; row++) {
    if (validity === null || validity[row] !== 0) rows[next[parentId[row]!]!++] = row;
  }
  return { rows, starts, ids: null };
}

/** Sorts the rows by id. */
function groupSparse(parentId: IdColumn['values'], validity: Uint8Array | null, rowCount: number): Grouped {
  const keys = new BigUint64Array(rowCount);
  let count = 0;
  for (let row = 0; row < rowCount; row++) {
    if (validity === null || validity[row] !== 0) keys[count++] = (BigInt(parentId[row]!) << 32n) | BigInt(row);
  }
  keys.subarray(0, count).sort();
  const halves = new Uint32Array(keys.buffer);
  const rows = new Uint32Array(count);
  const ids = new Uint32Array(count);
  const starts = new Uint32Array(count + 1);
  let slots = 0;
  for (let i = 0; i < count; i++) {
    rows[i] = halves[2 * i]!;
    const id = halves[2 * i + 1]!;
    if (slots === 0 || ids[slots - 1] !== id) {
      ids[slots] = id;
      starts[slots++] = i;
    }
  }
  starts[slots] = count;
  return { rows, starts: starts.subarray(0, slots + 1), ids: ids.subarray(0, slots) };
}
