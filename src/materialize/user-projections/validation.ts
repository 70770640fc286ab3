/** From a file to a definition that can run: checked by DuckDB against the views that are there. */
import { createHash } from 'node:crypto';
import type { DuckDBConnection } from '@duckdb/node-api';
import { errorMessage, type TreasuryError } from '../../base/index.ts';
import { sqlString } from '../database.ts';
import { StatementType } from '../duckdb.ts';
import { type DefinitionFile, definitionProblem } from './definition-files.ts';
import { queryRows } from './query-rows.ts';
import { positionOf, shownPosition, withoutPlace } from './positions.ts';
import {
  type ParsedStatement,
  parseStatement,
  rangeViewName,
  type ReadableView,
  StatementProblem,
} from './statement.ts';
import { sqlName } from './sql-text.ts';

export interface ResultColumn {
  readonly name: string;
  readonly type: string;
}

/** A file that has been checked. */
export interface UserDefinition extends DefinitionFile {
  readonly statement: ParsedStatement;
  readonly columns: readonly ResultColumn[];
  /** What rows age by, if anything. */
  readonly timeColumn: string | null;
  /** Another hash is another version. */
  readonly hash: string;
}

/** Checks against the database; throws TREASURY_QUERY_INVALID with file, line and column. */
export async function validateDefinition(
  connection: DuckDBConnection,
  definition: DefinitionFile,
  readable: readonly ReadableView[],
): Promise<UserDefinition> {
  const { file, text } = definition;
  try {
    const statement = parseStatement(text, await serialized(connection, text), readable);
    const columns = await resultColumns(connection, text);
    checkColumns(columns);
    const timeColumn = findTimeColumn(definition, columns);
    await bindRanges(connection, statement, columns);
    const hash = createHash('sha256')
      .update(JSON.stringify([statement.shape, columns, timeColumn]))
      .digest('hex');
    return { ...definition, statement, columns, timeColumn, hash };
  } catch (error) {
    throw problemOf(file, text, error);
  }
}

/** Makes the connection's views of the views that a statement reads. `range`: offsets that they show; null: all. */
export async function makeRangeViews(
  connection: DuckDBConnection,
  views: readonly ReadableView[],
  range: { readonly from: bigint; readonly to: bigint } | null,
): Promise<void> {
  for (const view of views) {
    // Numbers in the text: DuckDB passes over row groups by them before it reads anything.
    const where =
      view.hasOffsets && range !== null ? ` WHERE entry_offset >= ${range.from} AND entry_offset < ${range.to}` : '';
    await connection.run(
      `CREATE OR REPLACE TEMP VIEW ${rangeViewName(view)} AS SELECT * FROM ${view.schema}.${sqlName(view.name)}${where}`,
    );
  }
}

/** Views that statements may read: all of `main` and `normalized` that are not projections of users. */
export async function readableViews(connection: DuckDBConnection): Promise<ReadableView[]> {
  const rows = await queryRows(
    connection,
    `
    SELECT views.schema_name, views.view_name, bool_or(columns.column_name = 'entry_offset') AS has_offsets
    FROM duckdb_views() AS views
    JOIN duckdb_columns() AS columns
      ON columns.database_name = views.database_name AND columns.schema_name = views.schema_name
      AND columns.table_name = views.view_name
    WHERE views.database_name = current_database() AND views.schema_name IN ('main', 'normalized') AND NOT views.internal
      AND NOT regexp_matches(views.sql, ${sqlString(OWN_VIEW)})
    GROUP BY ALL ORDER BY ALL`,
  );
  return rows.map((row) => ({
    schema: row['schema_name'] === 'main' ? 'main' : 'normalized',
    name: String(row['view_name']),
    hasOffsets: row['has_offsets'] === true,
  }));
}

/** How DuckDB writes a view over a table of schema `projected`. */
const OWN_VIEW = String.raw`FROM projected\.`;

async function serialized(connection: DuckDBConnection, text: string): Promise<string> {
  const [row] = await queryRows(connection, `SELECT json_serialize_sql(${sqlString(text)}) AS tree`);
  return String(row?.['tree']);
}

async function resultColumns(connection: DuckDBConnection, text: string): Promise<ResultColumn[]> {
  const statement = await connection.prepare(text);
  try {
    if (statement.statementType !== StatementType.SELECT) throw new StatementProblem('It is not a SELECT', null);
    return Array.from({ length: statement.columnCount }, (_, index) => ({
      name: statement.columnName(index),
      type: String(statement.columnType(index)),
    }));
  } finally {
    statement.destroySync();
  }
}

/** Types without a table form, or that no answer can hold. */
const UNSUPPORTED = /\b(?:NULL|SQLNULL|ANY|INVALID|VARIANT|LAMBDA|UNKNOWN|INTEGER_LITERAL|STRING_LITERAL)\b/;

function checkColumns(columns: readonly ResultColumn[]): void {
  const seen = new Set<string>();
  if (columns.length === 0) throw new StatementProblem('Its result has no columns', null);
  for (const { name, type } of columns) {
    const key = name.toLowerCase();
    if (seen.has(key)) {
      throw new StatementProblem(`Column "${name}" is there twice: give one another name with AS`, null);
    }
    seen.add(key);
    // Names of fields and values of enums may be any words.
    if (UNSUPPORTED.test(type.replaceAll(/"(?:[^"]|"")*"|'(?:[^']|'')*'/g, ''))) {
      throw new StatementProblem(`Column "${name}" has type ${type}, which no table can hold: cast it`, null);
    }
  }
}

const AGING_TYPE = /^(?:TIMESTAMP(?:_S|_MS|_NS)?|DATE|TIMESTAMP WITH TIME ZONE)$/;

/** The header's column, or one that is called `time`. */
function findTimeColumn({ time }: DefinitionFile, columns: readonly ResultColumn[]): string | null {
  const wanted = (time?.column ?? 'time').toLowerCase();
  const found = columns.find(({ name }) => name.toLowerCase() === wanted);
  if (found !== undefined && AGING_TYPE.test(found.type)) return found.name;
  if (time === null) return null;
  const reason = found === undefined ? 'the result has no such column' : `its type is ${found.type}`;
  throw new StatementProblem(`Cannot take "${time.column}" for the time of rows: ${reason}`, time.position);
}

/** What the statement gives over ranges must be what it gives over the views. */
async function bindRanges(
  connection: DuckDBConnection,
  { views, rangeSql }: ParsedStatement,
  columns: readonly ResultColumn[],
): Promise<void> {
  await makeRangeViews(connection, views, null);
  let found: readonly ResultColumn[];
  try {
    found = await resultColumns(connection, rangeSql);
  } catch (error) {
    const reason = withoutPlace(errorMessage(error));
    throw new StatementProblem(
      `Cannot run it over ranges, name views by their aliases and not by schema: ${reason}`,
      null,
    );
  }
  if (JSON.stringify(found) !== JSON.stringify(columns)) {
    throw new StatementProblem('Cannot run it over ranges: give every view in FROM an alias', null);
  }
}

function problemOf(file: string, text: string, error: unknown): TreasuryError {
  if (error instanceof StatementProblem) {
    return definitionProblem(file, error.message, error.position ?? statementStart(text));
  }
  const message = errorMessage(error);
  return definitionProblem(file, withoutPlace(message), shownPosition(text, message) ?? statementStart(text));
}

/** Where the statement begins, behind comments. */
function statementStart(text: string) {
  const head = /^(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/.exec(text)?.[0].length ?? 0;
  return positionOf(text, head < text.length ? head : 0);
}
