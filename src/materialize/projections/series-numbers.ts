/**
 * Numbers of series: points hold 32 bits instead of the 64 of a series id, given in the order of first appearance, so that neighbours in
 * a steady stream differ by the same and take next to no space. A number stands for one series in all tables of a database; a series
 * gets another one when its first one was forgotten.
 */
import { randomInt } from 'node:crypto';
import { assert, LIMITS } from '../../base/index.ts';
import { type Database, sqlName } from '../database.ts';
import { physicalName, type ProjectionContext } from '../projection.ts';
import { KeyNumbers } from './key-numbers.ts';
import { NumberSet } from './number-set.ts';

/** Numbers that must be free when a batch begins: no transaction has as many points. */
const SPARE_MIN = 2 ** 24;
const NUMBER_MAX = 2 ** 32 - 1;

/** Gives the numbers of series for all loops of a session. A number that was given stays with its series even when its transaction failed. */
export class SeriesNumbers {
  readonly #known = new KeyNumbers();
  readonly #limits: NumberLimits;
  #range: NumberRange;
  #next: number;

  constructor(range: NumberRange, limits: NumberLimits = {}) {
    this.#limits = limits;
    this.#range = range;
    this.#next = range.first;
  }

  /** The number of a series id, given now when the id has none or its number is forgotten. */
  numberOf(low: number, high: number): number {
    const known = this.#known.get(low, high);
    if (known !== 0) return known;
    assert(this.#next < this.#range.end, 'Numbers of series must be left: refill() keeps some free');
    const number = this.#next++;
    this.#known.set(low, high, number);
    return number;
  }

  /** Takes a number over that a table has. */
  learn(low: number, high: number, number: number): void {
    this.#known.set(low, high, number);
  }

  /**
   * Looks for numbers that no table has any more when few are left, null otherwise. Such a number may have stood for another series before:
   * readers must know from the open transaction (`renewNumbering`), and what is returned is called once that is committed, to give them.
   */
  async refill(database: Pick<Database, 'rows'>): Promise<(() => void) | null> {
    const { spareMin = SPARE_MIN, numberMax } = this.#limits;
    const before = this.#range;
    if (before.end - this.#next >= spareMin) return null;
    // What was drawn and is not committed yet shows in no table.
    const range = await freeRange(database, { first: before.first, end: this.#next }, numberMax);
    // Series whose rows are gone must not come back with numbers that are others' by then.
    this.#known.forget(range.first, range.end);
    return () => {
      // Another loop may have been here first.
      if (this.#range !== before) return;
      // Or has drawn more meanwhile: what is left of the numbers before may be among the new ones.
      const isAmong = this.#next >= range.first && this.#next < range.end;
      this.#enter(isAmong ? { first: this.#next, end: range.end } : range);
    };
  }

  /** Forgets all numbers and begins with 1: no table has any. */
  reset(): void {
    this.#known.clear();
    this.#enter({ first: 1, end: (this.#limits.numberMax ?? NUMBER_MAX) + 1 });
  }

  #enter(range: NumberRange): void {
    this.#range = range;
    this.#next = range.first;
  }
}

/** From `first` up to but not including `end`. */
export interface NumberRange {
  readonly first: number;
  readonly end: number;
}

/** Replace the ones of 32 bits. */
export interface NumberLimits {
  readonly numberMax?: number;
  readonly spareMin?: number;
}

/** Numbers behind the greatest that any table has, or the widest gap between them when half of all are passed. */
export async function openSeriesNumbers(
  database: Pick<Database, 'rows'>,
  limits: NumberLimits = {},
): Promise<SeriesNumbers> {
  return new SeriesNumbers(await freeRange(database, null, limits.numberMax), limits);
}

/** Rows in one query: objects of few rows at a time. */
const LOAD_ROWS = 20_000;

/** Takes over what a table has, of very many numbers the newest. Returns those that it has. */
export async function loadNumbers(
  context: ProjectionContext,
  table: string,
  numbers: SeriesNumbers,
  rowsMax: number = LIMITS.knownDimensionKeysMax,
): Promise<NumberSet> {
  const written = new NumberSet();
  const source = `store.${sqlName(physicalName(context, table))}`;
  const [found] = await context.rows(`SELECT max(rowid) + 1 AS rows FROM ${source}`);
  const end = Number(found?.['rows'] ?? 0);
  for (let from = Math.max(0, end - rowsMax); from < end; from += LOAD_ROWS) {
    const rows = await context.rows(`
      SELECT (series_id & 4294967295)::UINTEGER AS low, (series_id >> 32)::UINTEGER AS high, series_number AS number
      FROM ${source} WHERE rowid >= ${from} AND rowid < ${from + LOAD_ROWS}`);
    for (const row of rows) {
      const number = Number(row['number']);
      numbers.learn(Number(row['low']), Number(row['high']), number);
      written.add(number);
    }
  }
  return written;
}

/** Tells readers that keep numbers, in the open transaction or in one of its own, that those that they know may stand for others. */
export async function renewNumbering({ run }: Pick<Database, 'run'>): Promise<void> {
  await run(`CREATE OR REPLACE MACRO store.series_numbering() AS ${randomInt(2 ** 47)}::UBIGINT`);
}

async function freeRange(
  { rows }: Pick<Database, 'rows'>,
  drawn: NumberRange | null,
  numberMax: number = NUMBER_MAX,
): Promise<NumberRange> {
  const tables = await rows(
    `SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store' AND starts_with(table_name, 'series_numbers_v')`,
  );
  const used = [
    ...tables.map((row) => `SELECT series_number AS number FROM store.${sqlName(String(row['table_name']))}`),
    `SELECT unnest([0${drawn === null ? '' : `, ${drawn.first}, ${drawn.end - 1}`}]) AS number`,
  ].join(' UNION ALL ');
  const [greatest] = await rows(`SELECT max(number) AS number FROM (${used})`);
  const first = Number(greatest?.['number']) + 1;
  if (first <= numberMax / 2) return { first, end: numberMax + 1 };
  const notDrawn = drawn === null ? '' : `WHERE number < ${drawn.first} OR number >= ${drawn.end - 1}`;
  const [gap] = await rows(`
    SELECT number, following
    FROM (SELECT number, lead(number, 1, ${numberMax + 1}) OVER (ORDER BY number) AS following FROM (SELECT DISTINCT number FROM (${used})))
    ${notDrawn} ORDER BY following - number DESC, number LIMIT 1`);
  return { first: Number(gap?.['number']) + 1, end: Number(gap?.['following']) };
}
