/**
 * Goal: kill -9 at any point of a build or a switch leaves the version before or the new one, and the next start goes on.
 * Method: processes that build and switch one version after the other on one DuckDB file, killed at seeded moments; the release, and so the
 * highest version, changes between them. In the end one process finishes what was begun.
 * Invariant: after the last one each entry has its rows exactly once, and no tables or checkpoints of other builds are left.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { loaderFlags } from '../helpers/checkout.ts';
import { seededRandom } from '../helpers/random.ts';
import { smallMigrations, smallProjection } from '../helpers/small-engine.ts';
import type { VersionsVictim } from '../helpers/versions-victim.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
/** More by night. */
const ROUNDS = Math.max(12, Math.floor(Number(process.env['TREASURY_TEST_KILL_ROUNDS'] ?? 25) / 2));
const ENTRIES = 400;
const DELAY_MAX_MS = 900;
const VICTIM = fileURLToPath(new URL('../helpers/versions-victim.ts', import.meta.url));

test('kill -9 during builds and switches of versions loses and repeats nothing', { timeout: 300_000 }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'versions-kill-'));
  t.after(() => rm(directory, { recursive: true }));
  await smallMigrations(join(directory, 'migrations'), [
    smallProjection('logs'),
    smallProjection('logs', 2),
    smallProjection('logs', 3),
  ]);
  const random = seededRandom(SEED);
  const seen = { rebuilding: 0, switched: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const version = 1 + Math.floor((3 * round) / ROUNDS);
    const { child, lines } = start({ directory, entries: ENTRIES, version, last: false });
    await once(child.stdout, 'data');
    await sleep(random.below(DELAY_MAX_MS));
    child.kill('SIGKILL');
    await once(child, 'close');
    for (const line of lines()) if (line in seen) seen[line as keyof typeof seen]++;
  }
  const { child, lines } = start({ directory, entries: ENTRIES, version: 3, last: true });
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(code, 0, lines().join('\n'));
  t.diagnostic(`${ROUNDS} kills, ${seen.rebuilding} builds begun, ${seen.switched} switches`);
  assert.ok(seen.rebuilding > seen.switched, 'no build was killed');

  const instance = await DuckDBInstance.create(join(directory, 'tables'));
  try {
    const connection = await instance.connect();
    const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJson();
    assert.deepEqual(await rows("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store'"), [['logs_v3']]);
    assert.deepEqual(await rows('SELECT version, state, next_offset FROM meta.projections'), [
      [3, 'serving', String(ENTRIES)],
    ]);
    const expected = Array.from({ length: ENTRIES }, (_, at) =>
      Array.from({ length: at % 3 }, (_none, row) => [at, row]),
    );
    const found = await rows('SELECT entry_offset::INTEGER, row::INTEGER FROM logs ORDER BY ALL');
    assert.deepEqual(found, expected.flat());
  } finally {
    instance.closeSync();
  }
});

function start(victim: VersionsVictim) {
  const child = spawn(process.execPath, [...loaderFlags, VICTIM, JSON.stringify(victim)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { child, lines: () => text.split('\n').filter((line) => line !== '') };
}
