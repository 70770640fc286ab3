/**
 * Rows of projections of users grow old as those of the tables that they come from do: by their time where the result has one, and by
 * the receipt of their entry where it has `entry_offset`. In slices, on the connection of these projections.
 */
import type { DuckDBConnection } from '@duckdb/node-api';
import { LIMITS } from '../../base/index.ts';
import { sqlString } from '../database.ts';
import { countDeleted, type RetentionFigures } from '../table-retention-figures.ts';
import { queryRows } from './query-rows.ts';
import { sqlName } from './sql-text.ts';
import { type StoredVersion, versionTable } from './versions.ts';

const NANOS_PER_MILLI = 1_000_000n;
const NANOS_PER_MINUTE = 60_000_000_000n;

/** Deletes what is older than the age of `figures`. Yields between slices. */
export async function* ageRows(
  connection: DuckDBConnection,
  versions: readonly StoredVersion[],
  figures: RetentionFigures,
  nowUnixNano: bigint,
): AsyncGenerator<void, void> {
  if (figures.ageMs === null) return;
  const limit = nowUnixNano - BigInt(figures.ageMs) * NANOS_PER_MILLI;
  if (limit <= 0n) return;
  const boundary = await receiptBoundary(connection, limit, nowUnixNano);
  for (const version of versions) {
    for (const condition of await conditions(connection, version, limit, boundary)) {
      yield* deleteSlices(connection, version, condition, figures);
    }
  }
}

async function* deleteSlices(
  connection: DuckDBConnection,
  version: StoredVersion,
  condition: string,
  figures: RetentionFigures,
): AsyncGenerator<void, void> {
  const table = versionTable(version);
  const max = LIMITS.retentionSliceRowsMax;
  for (;;) {
    const [answer] = await queryRows(
      connection,
      `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE ${condition} LIMIT ${max})`,
    );
    const rows = Number(answer?.['Count'] ?? 0);
    if (rows > 0) countDeleted(figures, version.name, rows);
    yield;
    if (rows < max) return;
  }
}

async function conditions(
  connection: DuckDBConnection,
  version: StoredVersion,
  limit: bigint,
  boundary: bigint,
): Promise<string[]> {
  const columns = await queryRows(
    connection,
    `SELECT lower(column_name) AS name, data_type AS type FROM duckdb_columns()
     WHERE schema_name = 'projected' AND table_name = ${sqlString(`${version.name}_v${version.version}`)}`,
  );
  const types = new Map(columns.map(({ name, type }) => [String(name), String(type)]));
  const found: string[] = [];
  if (/^U?(?:BIGINT|HUGEINT)$/.test(types.get('entry_offset') ?? '')) found.push(`entry_offset < ${boundary}`);
  const { timeColumn } = version;
  const type = timeColumn === null ? undefined : types.get(timeColumn.toLowerCase());
  if (timeColumn !== null && type !== undefined) {
    const time = sqlName(timeColumn);
    // What shows as 1970 or before has no time. The limit is cut to the precision of the column: nothing goes early.
    found.push(`${time} > ${timeOf(0n, type)} AND ${time} < ${timeOf(limit, type)}`);
  }
  return found;
}

function timeOf(unixNano: bigint, type: string): string {
  if (type === 'TIMESTAMP_NS') return `make_timestamp_ns(${unixNano})`;
  const micros = `make_timestamp(${unixNano / 1_000n})`;
  if (type === 'TIMESTAMP_S') return `date_trunc('second', ${micros})::TIMESTAMP_S`;
  if (type === 'TIMESTAMP_MS') return `date_trunc('millisecond', ${micros})::TIMESTAMP_MS`;
  return type === 'TIMESTAMP' ? micros : `${micros}::${type}`;
}

/** The offset below which all entries were received before `limit`, as far as the minutes that are kept tell. */
async function receiptBoundary(connection: DuckDBConnection, limit: bigint, now: bigint): Promise<bigint> {
  const keptMinute = (limit + NANOS_PER_MINUTE - 1n) / NANOS_PER_MINUTE - 1n;
  const believed = `minute BETWEEN ${BigInt(LIMITS.clockSetUnixMs) / 60_000n} AND ${
    now / NANOS_PER_MINUTE + BigInt(Math.ceil(LIMITS.clockSlackMs / 60_000))
  }`;
  const [kept] = await queryRows(
    connection,
    `SELECT min(entry_offset) AS first FROM meta.received_minutes WHERE ${believed} AND minute >= ${keptMinute}`,
  );
  const first = kept?.['first'];
  // Where all that is known is older, the newest of it stays: what came last is not known to have ended.
  if (first !== null && first !== undefined) return BigInt(first as bigint);
  const [known] = await queryRows(
    connection,
    `SELECT max(entry_offset) AS last FROM meta.received_minutes WHERE ${believed}`,
  );
  return BigInt((known?.['last'] ?? 0n) as bigint);
}
