/**
 * Goal: kill -9 at any point leaves each version of a projection of a user with the rows of all entries below its checkpoint, each once.
 * Method: a process commits logs while the projection follows in ranges of three entries, its text changed with each round so that versions
 * are built and switched; it is killed after a seeded delay, and the test opens what it left.
 * Invariant: the rows of each version are those that its statement gives for the entries below its checkpoint; the view shows one of them.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loaderFlags } from '../../helpers/checkout.ts';
import { seededRandom } from '../../helpers/random.ts';
import { openUserTables, projectionUntil, type UserTables } from '../../helpers/user-projections.ts';

const VICTIM = fileURLToPath(new URL('../../helpers/user-projections-victim.ts', import.meta.url));
const ROUNDS = 8;
const DELAY_MAX_MS = 500;
const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const TEXTS = [
  "SELECT entry_offset, row, attributes['http.route'] AS route FROM logs",
  'SELECT entry_offset, row, body, upper(body) AS loud FROM logs WHERE row <> 1',
];

const folder = mkdtempSync(join(tmpdir(), 'user-projections-kill-'));
after(() => rmSync(folder, { recursive: true }));

async function killOne(text: string, delayMs: number): Promise<void> {
  const child = spawn(process.execPath, [...loaderFlags, VICTIM, folder, text], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  await once(child.stdout, 'data');
  await sleep(delayMs);
  child.kill('SIGKILL');
  await exited;
}

async function assertRowsOnce({ rows }: UserTables): Promise<number> {
  const versions = await rows(
    'SELECT version, statement, next_offset, state FROM projected.checkpoints ORDER BY version',
  );
  for (const [version, statement, nextOffset] of versions) {
    const wanted = `SELECT * FROM (${statement as string}) WHERE entry_offset < ${nextOffset as bigint}`;
    const [found, given] = await Promise.all(
      [`FROM projected.routes_v${version as number}`, wanted].map((sql) =>
        rows(`SELECT count(*), coalesce(sum(hash(t)), 0) FROM (${sql}) AS t`),
      ),
    );
    assert.deepEqual(found, given, `version ${version as number} has rows twice, or lacks some`);
  }
  const tables = await rows("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'routes%' ORDER BY 1");
  assert.deepEqual(
    tables.map(([name]) => name),
    versions.map(([version]) => `routes_v${version as number}`).toSorted(),
  );
  assert.equal(versions.filter(([, , , state]) => state === 'serving').length, 1);
  assert.equal((await rows('SELECT count(*) FROM routes')).length, 1);
  return versions.length;
}

test('kill -9 leaves each version of a projection with each row once', async (t: TestContext) => {
  const random = seededRandom(SEED);
  for (let round = 0; round < ROUNDS; round++) {
    // Two rounds for each text: one may end in the middle of its building, the next goes on.
    await killOne(TEXTS[(round >> 1) % TEXTS.length]!, random.below(DELAY_MAX_MS));
    const opened: (() => Promise<void>)[] = [];
    const tables = await openUserTables({ after: (close) => void opened.push(close) }, folder);
    try {
      await assertRowsOnce(tables);
    } finally {
      for (const close of opened) await close();
    }
  }
  const tables = await openUserTables(t, folder);
  const projections = tables.start();
  await projectionUntil(
    projections,
    'routes',
    ({ state, materializedOffset }) =>
      state === 'serving' && materializedOffset === tables.live.offset && projections.statuses.length === 1,
  );
  assert.equal(await assertRowsOnce(tables), 1);
  const [[held]] = (await tables.rows('SELECT count(*) FROM routes')) as [[bigint]];
  assert.ok(held > 0n);
});
