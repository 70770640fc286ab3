/**
 * Compares what is built with what serves: counts and order-free hashes of what both hold. Where rows grow old, those that retention would
 * leave: neither side need be swept for it. Everything runs inside an open transaction.
 */
import { type Database, sqlString } from './database.ts';
import type { AgingTables, ComparedForms } from './projection.ts';
import { unversioned } from './table-retention-figures.ts';
import { isOld, type KeptRows } from './table-retention-sweep.ts';
import type { TableComparison } from './types.ts';
import { stored, tablesWithOffsets } from './version-tables.ts';

/** The tables of a version, by their physical names. */
export interface ComparedVersion {
  readonly tables: readonly string[];
  readonly aging?: AgingTables | undefined;
  readonly compared?: Readonly<Record<string, ComparedForms>> | undefined;
}

export interface Compared {
  /** Entries from here on, which both hold in full. Where that is not all, tables without offsets cannot be compared. */
  readonly firstOffset: bigint;
  /** What retention leaves; null: everything. */
  readonly kept: KeptRows | null;
}

/** Compares the tables that two versions share, by name without version. */
export async function compareTables(
  database: Database,
  before: ComparedVersion,
  after: ComparedVersion,
  compared: Compared,
): Promise<Readonly<Record<string, TableComparison>>> {
  const results: Record<string, TableComparison> = {};
  const withOffsets = new Set(await tablesWithOffsets(database, [...before.tables, ...after.tables]));
  for (const table of after.tables) {
    const old = before.tables.find((name) => unversioned(name) === unversioned(table));
    if (old === undefined || /_staged_v\d/.test(table)) continue;
    const hasOffsets = withOffsets.has(old) && withOffsets.has(table);
    if (!hasOffsets && compared.firstOffset > 0n) continue;
    const isSameShape = (await shapeOf(database, old)) === (await shapeOf(database, table));
    const had = await sumOf(database, comparedRows(old, before, hasOffsets, compared));
    const has = await sumOf(database, comparedRows(table, after, hasOffsets, compared));
    const result = had.rows === has.rows && had.hash === has.hash ? 'equal' : 'different';
    results[unversioned(table)] = {
      result: isSameShape ? result : 'different shape',
      rowsBefore: had.rows,
      rows: has.rows,
    };
  }
  return results;
}

/**
 * What is compared of a table's rows, for SQL text: keys in place of numbers, which depend on the order of builds, and one form of what
 * has several.
 */
function comparedRows(table: string, version: ComparedVersion, hasOffsets: boolean, compared: Compared): string {
  const plain = rowsOf(table, version, hasOffsets, compared);
  const forms = version.compared?.[unversioned(table)];
  const rows =
    forms === undefined ? plain : `SELECT * EXCLUDE (${forms.columns.join(', ')}), ${forms.values.join(', ')} ${plain}`;
  for (const { table: dimension, keyColumn, referrers, numbers } of version.aging?.dimensions ?? []) {
    if (numbers === undefined) continue;
    if (dimension === table) return `SELECT DISTINCT ${numbers.column} ${rows}`;
    const referrer = referrers.find((one) => one.table === table);
    if (referrer === undefined) continue;
    return `SELECT referrer.* EXCLUDE (${referrer.column}), numbers.${numbers.column}
      FROM (${rows}) AS referrer
      LEFT JOIN ${stored(dimension)} AS numbers ON numbers.${keyColumn} = referrer.${referrer.column}`;
  }
  return rows;
}

/** The rows of a table that are compared, for SQL text. */
function rowsOf(table: string, version: ComparedVersion, hasOffsets: boolean, compared: Compared): string {
  if (hasOffsets) return `FROM ${stored(table)} WHERE ${entryRows(table, version, compared)}`;
  const referred = compared.kept === null ? null : referredRows(table, version, compared);
  return `FROM ${stored(table)}${referred === null ? '' : ` WHERE ${referred}`}`;
}

function entryRows(table: string, { aging }: ComparedVersion, { firstOffset, kept }: Compared): string {
  const time = aging?.rows[table];
  const isKept = kept === null || time === undefined ? '' : ` AND (${isOld(time, kept)}) IS NOT TRUE`;
  return `entry_offset >= ${firstOffset}${isKept}`;
}

/** Rows of a dimension stay as long as what refers to them; null: it is none. */
function referredRows(table: string, version: ComparedVersion, compared: Compared): string | null {
  const dimension = version.aging?.dimensions.find((one) => one.table === table);
  if (dimension === undefined) return null;
  const keys = dimension.referrers.map(
    ({ table: referrer, column, hasOffsets }) => `SELECT ${column} ${rowsOf(referrer, version, hasOffsets, compared)}`,
  );
  return `${dimension.keyColumn} IN (${keys.join(' UNION ALL ')})`;
}

async function shapeOf(database: Database, table: string): Promise<string> {
  const columns = await database.rows(
    `SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'store' AND table_name = ${sqlString(table)}
     ORDER BY column_index`,
  );
  return JSON.stringify(columns);
}

async function sumOf(database: Database, rows: string): Promise<{ rows: number; hash: string }> {
  const [sum] = await database.rows(
    `SELECT count(*) AS rows, coalesce(sum(hash(one)::HUGEINT), 0)::VARCHAR AS hash FROM (${rows}) AS one`,
  );
  return { rows: Number(sum?.['rows']), hash: String(sum?.['hash']) };
}
