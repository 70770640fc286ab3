/**
 * Lets only reading statements through. Three guards, as each alone has holes: the statement's kind; the table functions in its plan
 * (DuckDB has functions in FROM that change settings or checkpoint, also reachable through `query('…')`); and the read-only
 * transaction that the caller has opened.
 */
import type { DuckDBConnection, DuckDBPreparedStatement, DuckDBValue } from '@duckdb/node-api';
import { errorMessage } from '../../base/index.ts';
import { StatementType } from '../duckdb.ts';
import { COLUMNS_FORMAT, type SqlParam, type SqlRequest } from '../types.ts';
import { invalidQuery } from './sql-errors.ts';

/**
 * Prepares the request's one statement with its parameters bound. The caller destroys it. Throws TREASURY_QUERY_INVALID, or DuckDB's
 * error, when it is not exactly one reading statement.
 */
export async function prepareReadOnly(
  connection: DuckDBConnection,
  { query, params, format }: Pick<SqlRequest, 'query' | 'params' | 'format'>,
): Promise<DuckDBPreparedStatement> {
  const statement = await prepareOne(connection, query);
  try {
    const type = statement.statementType;
    if (type === StatementType.EXPLAIN) await checkReads(connection, explained(query), params);
    else if (type !== StatementType.SELECT)
      throw invalidQuery(`Cannot run the statement: only queries are accepted, this is ${kindName(type)}`);
    // Users cannot ask for columns: such a query is this program's own, and explaining it takes longer than many of them run.
    else if (format !== COLUMNS_FORMAT) await checkPlan(connection, query, params);
    bind(statement, params);
    return statement;
  } catch (error) {
    statement.destroySync();
    throw error;
  }
}

const SPACE = String.raw`(?:\s|--[^\n]*(?:\n|$)|/\*[\s\S]*?\*/)`;
const EXPLAIN_PREFIX = new RegExp(
  String.raw`^${SPACE}*EXPLAIN${SPACE}+(?:ANALYZE${SPACE}+)?(?:\([^)]*\)${SPACE}*)?`,
  'i',
);
const ONLY_SPACE = new RegExp(`^(?:${SPACE}|;)*$`);
const PRAGMA_PREFIX = new RegExp(`^${SPACE}*PRAGMA${SPACE}`, 'i');

async function prepareOne(connection: DuckDBConnection, query: string): Promise<DuckDBPreparedStatement> {
  if (ONLY_SPACE.test(query)) throw invalidQuery('Cannot run an empty query');
  const extracted = await connection.extractStatements(query);
  if (extracted.count !== 1) {
    throw invalidQuery(
      `Cannot run ${extracted.count} statements: send one at a time (a PIVOT without an IN list counts as two)`,
    );
  }
  return extracted.prepare(0);
}

/** The query inside an EXPLAIN: `EXPLAIN ANALYZE` runs it, whatever it is. */
function explained(query: string): string {
  const prefix = EXPLAIN_PREFIX.exec(query);
  if (prefix === null) throw invalidQuery('Cannot run the EXPLAIN: write EXPLAIN [ANALYZE] [(options)] and the query');
  return query.slice(prefix[0].length);
}

async function checkReads(connection: DuckDBConnection, query: string, params: SqlRequest['params']): Promise<void> {
  const statement = await prepareOne(connection, query);
  const type = statement.statementType;
  statement.destroySync();
  if (type !== StatementType.SELECT) {
    throw invalidQuery(`Cannot explain the statement: only queries are accepted, this is ${kindName(type)}`);
  }
  await checkPlan(connection, query, params);
}

/** Table functions that only read. Others, old and new, are refused. */
const READING_FUNCTION =
  /^(duckdb_\w+|pragma_\w+|\w*_scan|range|generate_series|repeat|repeat_row|summary|unnest|json_each|json_tree|icu_calendar_names|pg_timezone_names|sql_auto_complete|test_all_types|test_vector_types)$/i;

async function checkPlan(connection: DuckDBConnection, query: string, params: SqlRequest['params']): Promise<void> {
  // DuckDB rewrites the PRAGMAs that only show something to SELECT, and cannot explain them.
  if (PRAGMA_PREFIX.test(query)) return;
  const statement = await prepareOne(connection, `EXPLAIN (FORMAT json) ${query}`);
  try {
    bind(statement, params);
    const rows = (await (await statement.run()).getRows()) as unknown[][];
    for (const name of planFunctions(JSON.parse(String(rows[0]?.[1])))) {
      if (!READING_FUNCTION.test(name)) {
        throw invalidQuery(
          `Cannot run the query: table function ${name.toLowerCase()} is not among those that only read`,
        );
      }
    }
  } finally {
    statement.destroySync();
  }
}

/** Names of the table functions of a plan in JSON. */
function planFunctions(plan: unknown): string[] {
  if (Array.isArray(plan)) return plan.flatMap(planFunctions);
  if (typeof plan !== 'object' || plan === null) return [];
  return Object.entries(plan).flatMap(([key, value]) =>
    key === 'Function' && typeof value === 'string' ? [value] : planFunctions(value),
  );
}

/** Integers are bound as integers, so that `LIMIT $1` and casts see what was meant. */
function bind(statement: DuckDBPreparedStatement, params: SqlRequest['params']): void {
  const given = params ?? [];
  const count = Array.isArray(given) ? given.length : Object.keys(given).length;
  if (count !== statement.parameterCount) {
    throw invalidQuery(`Cannot bind the parameters: the statement has ${statement.parameterCount}, given are ${count}`);
  }
  if (count === 0) return;
  try {
    if (Array.isArray(given)) statement.bind((given as readonly SqlParam[]).map(bound));
    else statement.bind(Object.fromEntries(Object.entries(given).map(([name, value]) => [name, bound(value)])));
  } catch (error) {
    throw invalidQuery(`Cannot bind the parameters: ${errorMessage(error)}`, error);
  }
}

const INT32_MAX = 2_147_483_647;

function bound(value: SqlParam): DuckDBValue {
  return typeof value === 'number' && Number.isSafeInteger(value) && Math.abs(value) > INT32_MAX
    ? BigInt(value)
    : value;
}

function kindName(type: StatementType): string {
  return StatementType[type] ?? `kind ${type}`;
}
