/** What the rounds of kill -9 have in common, whatever protocol the clients speak. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DuckDBConnection } from '@duckdb/node-api';
import { seededRandom } from './random.ts';
import {
  fetchStatus,
  scratchDirectory,
  type ServerProcess,
  type StatusBody,
  startServerProcess,
  untilMaterialized,
} from './server-process.ts';
import { openStoppedTables, ROW_VIEWS } from './stopped-tables.ts';

export const KILL_SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
/** More by night: TREASURY_TEST_KILL_ROUNDS=1000. */
export const KILL_ROUNDS = Number(process.env['TREASURY_TEST_KILL_ROUNDS'] ?? 25);

const DELAY_MAX_MS = 900;

/** What a client sent under an id of its own. */
export interface SentUnit {
  readonly rows: number;
  acked: boolean;
}

/** What is left after the last round: a server that has read its log, and has stopped. */
export interface Survivor {
  readonly data: string;
  readonly status: StatusBody;
  readonly connection: DuckDBConnection;
}

/**
 * Runs the rounds on one data directory: in each a server is started, `send` gives it work until it is gone, and it is killed after a
 * seeded delay. In the end a last server reads the log, and stops in order.
 */
export async function runKillRounds(
  t: { after(fn: () => unknown): void },
  send: (server: ServerProcess) => Promise<unknown>,
): Promise<Survivor> {
  const data = scratchDirectory(t);
  const random = seededRandom(KILL_SEED);
  for (let round = 0; round < KILL_ROUNDS; round++) {
    const server = await startServerProcess(data);
    const killed = sleep(random.below(DELAY_MAX_MS)).then(() => server.end('SIGKILL'));
    await send(server);
    await killed;
  }
  const server = await startServerProcess(data);
  t.after(() => server.end('SIGKILL'));
  await untilMaterialized(server);
  const status = await fetchStatus(server);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  return { data, status, connection: await openStoppedTables(t, data) };
}

/** Asserts that what was acknowledged is in the log exactly once, and everything else at most as often as it was sent: once. */
export function assertLogged(
  sent: ReadonlyMap<bigint, SentUnit>,
  offsets: ReadonlyMap<bigint, readonly bigint[]>,
): void {
  const acked = [...sent].filter(([, unit]) => unit.acked);
  assert.ok(acked.length > KILL_ROUNDS, 'the rounds were too short to mean something');
  const lost = acked.filter(([id]) => offsets.get(id)?.length !== 1).map(([id]) => id);
  assert.deepEqual(lost, [], 'acknowledged units that are not in the log exactly once');
  const surplus = [...offsets].filter(([id, found]) => !sent.has(id) || found.length > 1).map(([id]) => id);
  assert.deepEqual(surplus, [], 'units that are in the log more often than they were sent');
}

/** Asserts that no view repeats a row, and that each has some. */
export async function assertRowsOnce(connection: DuckDBConnection): Promise<void> {
  for (const view of ROW_VIEWS) {
    const repeated = `SELECT entry_offset, row FROM ${view} GROUP BY ALL HAVING count(*) > 1 LIMIT 3`;
    assert.deepEqual((await connection.runAndReadAll(repeated)).getRows(), [], `${view} repeats rows`);
    const [[rows]] = (await connection.runAndReadAll(`SELECT count(*) FROM ${view}`)).getRows() as [[bigint]];
    assert.ok(rows > 0n, `${view} is empty: the rounds show nothing of it`);
  }
}
