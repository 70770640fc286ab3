/**
 * Rows of large batches count on from batch to batch and say where their batch began: a column that grows by one takes nothing in the
 * tables, whatever order the rows come in, and the beginning is written once a batch. Row numbers, which begin again with each batch, take
 * as many bits a row as the largest has.
 */
import type { IdColumn } from '../../otap/index.ts';
import type { VectorData } from '../vectors.ts';
import { constant, fixed, NULLS } from './columns.ts';
import type { Scratch } from './scratch.ts';

/** A smaller batch says rows and ids as they are: they have few bits, and a beginning takes six bytes. */
export const PLACED_ROWS_MIN = 64;

/** How many rows each table got, modulo 2^32, since this process began: only neighbours matter, so nothing is kept. */
export class Places {
  readonly #next = new Map<string, number>();

  /** Where the rows of a batch begin that go into a table now. */
  take(table: string, rowCount: number): number {
    const base = this.#next.get(table) ?? 0;
    this.#next.set(table, (base + rowCount) >>> 0);
    return base;
  }
}

/** Place and beginning of rows in their order. */
export function rowPlaces(base: number, rowCount: number, scratch: Scratch): VectorData[] {
  const places = scratch.u32(rowCount);
  for (let row = 0; row < rowCount; row++) places[row] = base + row;
  return [fixed(places), constant(base)];
}

/** The same of what ids name: rows of another table of the batch, mostly. Nulls stay null. */
export function idPlaces(base: number, column: IdColumn, scratch: Scratch): VectorData[] {
  const { values, validity } = column;
  const places = scratch.u32(values.length);
  for (let row = 0; row < values.length; row++) places[row] = base + values[row]!;
  return [{ kind: 'fixed', values: places, validity }, constant(base)];
}

export const NO_PLACES: readonly VectorData[] = [NULLS, NULLS];
