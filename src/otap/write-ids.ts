/**
 * Ids as an exporter writes them: numbers that fit the wire, without null where receivers take null for another row's id, in the
 * transport encodings of the OTAP specification (section 6.4). The other side of `transport-ids.ts`.
 */
import { BatchTooLargeError } from '../base/index.ts';
import type { IdValues, RowEquality } from './transport-ids.ts';

/** Ids of rows or of their parents, of any width. */
export interface Ids {
  readonly values: IdValues;
  readonly validity: Uint8Array | null;
}

const IDS_16_MAX = 65_536;
const IDS_32_MAX = 4_294_967_296;

/** The numbers of one kind of row: those of the rows themselves and those by which their children name them. */
export class IdSpace {
  readonly #idsMax: number;
  readonly #what: string;
  /** New numbers by old ones, null where the old ones fit. */
  readonly #renumbered: Map<number, number> | null;
  /** Numbers in use, made when a free one is looked for. */
  #used: Set<number> | null = null;
  readonly #columns: readonly (Ids | null)[];
  #gapNext = 0;
  #orphanage = -1;
  #freeNext: number;

  /** `columns` are all that hold such numbers. Throws BatchTooLargeError when there are more than `bits` tell apart. */
  constructor(what: string, bits: 16 | 32, columns: readonly (Ids | null)[]) {
    this.#what = what;
    this.#idsMax = bits === 16 ? IDS_16_MAX : IDS_32_MAX;
    this.#columns = columns;
    const largest = columns.reduce((max, column) => (column === null ? max : largestId(column, max)), -1);
    this.#renumbered = largest < this.#idsMax ? null : this.#renumber();
    this.#freeNext = this.#renumbered === null ? largest + 1 : this.#renumbered.size;
  }

  /** The column's numbers; null rows stay null. */
  keepNulls(column: Ids): Ids {
    return this.#renumbered === null ? column : { values: this.#mapped(column, () => 0), validity: column.validity };
  }

  /** The column's numbers, null rows as one that no row has: children without a parent. */
  orphanNulls(column: Ids): IdValues {
    return this.#mapped(column, () => (this.#orphanage < 0 ? (this.#orphanage = this.#free()) : this.#orphanage));
  }

  /** The column's numbers, null rows as numbers of their own: one each, or one for each run of them. */
  numberNulls(column: Ids, options: { runs: boolean }): IdValues {
    let lastRow = -2;
    let last = 0;
    return this.#mapped(column, (row) => {
      if (!options.runs || row !== lastRow + 1) last = this.#free();
      lastRow = row;
      return last;
    });
  }

  #mapped({ values, validity }: Ids, idOfNull: (row: number) => number): IdValues {
    const renumbered = this.#renumbered;
    if (renumbered === null && validity === null) return values;
    const ids = new Uint32Array(values.length);
    for (let row = 0; row < ids.length; row++) {
      if (validity !== null && validity[row] === 0) ids[row] = idOfNull(row);
      else ids[row] = renumbered === null ? values[row]! : renumbered.get(values[row]!)!;
    }
    return ids;
  }

  #renumber(): Map<number, number> {
    const renumbered = new Map<number, number>();
    for (const column of this.#columns) {
      if (column === null) continue;
      const { values, validity } = column;
      for (let row = 0; row < values.length; row++) {
        if (validity !== null && validity[row] === 0) continue;
        if (!renumbered.has(values[row]!)) renumbered.set(values[row]!, renumbered.size);
      }
      if (renumbered.size > this.#idsMax) throw this.#tooMany(renumbered.size);
    }
    return renumbered;
  }

  /** A number that is not in use. */
  #free(): number {
    if (this.#freeNext < this.#idsMax) return this.#freeNext++;
    const used = (this.#used ??= this.#collectUsed());
    while (used.has(this.#gapNext)) this.#gapNext++;
    if (this.#gapNext >= this.#idsMax) throw this.#tooMany(this.#idsMax + 1);
    return this.#gapNext++;
  }

  #collectUsed(): Set<number> {
    const used = new Set<number>();
    for (const column of this.#columns) {
      if (column === null) continue;
      for (const id of column.values) used.add(this.#renumbered?.get(id) ?? id);
    }
    return used;
  }

  #tooMany(count: number): BatchTooLargeError {
    return new BatchTooLargeError(
      `Cannot encode a batch: it has ${count} ${this.#what} or more, above ${this.#idsMax} that ids tell apart`,
      { idsMax: this.#idsMax },
    );
  }
}

function largestId({ values, validity }: Ids, atLeast: number): number {
  let largest = atLeast;
  for (let row = 0; row < values.length; row++) {
    if (values[row]! > largest && (validity === null || validity[row] !== 0)) largest = values[row]!;
  }
  return largest;
}

/** Differences to the last non-null value, as 16 bits. */
export function delta16(values: IdValues, validity: Uint8Array | null): Uint16Array {
  return delta(values, validity, new Uint16Array(values.length));
}

/** Differences to the last non-null value, as 32 bits. */
export function delta32(values: IdValues, validity: Uint8Array | null): Uint32Array {
  return delta(values, validity, new Uint32Array(values.length));
}

/** Differences where a row equals the one before, ids elsewhere, as 16 bits. */
export function quasiDelta16(ids: IdValues, rowsEqual: RowEquality): Uint16Array {
  return quasiDelta(ids, rowsEqual, new Uint16Array(ids.length));
}

/** Differences where a row equals the one before, ids elsewhere, as 32 bits. */
export function quasiDelta32(ids: IdValues, rowsEqual: RowEquality): Uint32Array {
  return quasiDelta(ids, rowsEqual, new Uint32Array(ids.length));
}

function delta<Ids extends IdValues>(values: IdValues, validity: Uint8Array | null, encoded: Ids): Ids {
  let previous = 0;
  for (let row = 0; row < encoded.length; row++) {
    if (validity !== null && validity[row] === 0) continue;
    encoded[row] = values[row]! - previous;
    previous = values[row]!;
  }
  return encoded;
}

function quasiDelta<Ids extends IdValues>(ids: IdValues, rowsEqual: RowEquality, encoded: Ids): Ids {
  for (let row = 0; row < encoded.length; row++) {
    encoded[row] = row > 0 && rowsEqual(row, row - 1) ? ids[row]! - ids[row - 1]! : ids[row]!;
  }
  return encoded;
}
