/**
 * Goal: kill -9 at any point of retention loses no young row and leaves no row twice, and the next run finishes the work.
 * Method: a process commits batches and retains in small slices, makes the file smaller after each run, and is killed after a seeded
 * delay; the test opens what it left.
 * Invariant: entries are there as a whole up to the last one committed; those younger than the limit have all their rows, each once,
 * with resource, scope and series; after one more run nothing else is left.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loaderFlags } from '../helpers/checkout.ts';
import { seededRandom } from '../helpers/random.ts';
import { brokenReferences, visibleNames } from '../helpers/retained-batches.ts';
import { openRetainedTables } from '../helpers/retained-tables.ts';
import { KILLED_LIMITS, victimEntry, victimNames } from '../helpers/retention-rounds.ts';

const VICTIM = fileURLToPath(new URL('../helpers/retention-victim.ts', import.meta.url));
const ROUNDS = 6;
const DELAY_MAX_MS = 400;
const AGE_ENTRIES = 12;
const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);

const directory = mkdtempSync(join(tmpdir(), 'table-retention-kill-'));
after(() => rmSync(directory, { recursive: true }));

/** Runs a victim until some time after its first commits; returns how many entries it said were committed. */
async function killOne(file: string, nextOffset: number, delayMs: number): Promise<number> {
  const facts = JSON.stringify({ file, nextOffset });
  const child = spawn(process.execPath, [...loaderFlags, VICTIM, facts], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  let committed = nextOffset;
  let isKilling = false;
  for await (const line of createInterface({ input: child.stdout })) {
    committed = Number(line);
    if (isKilling || committed < nextOffset + AGE_ENTRIES + 2) continue;
    isKilling = true;
    void sleep(delayMs).then(() => child.kill('SIGKILL'));
  }
  await exited;
  return committed;
}

test('kill -9 during table retention loses no young row and leaves none twice', async (t) => {
  const file = join(directory, 'tables.duckdb');
  const random = seededRandom(SEED);
  let nextOffset = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const told = await killOne(file, nextOffset, random.below(DELAY_MAX_MS));
    assert.ok(told > nextOffset);
    const tables = await openRetainedTables(file, {
      ageMs: 3_600_000,
      nextOffset: BigInt(told),
      limits: KILLED_LIMITS,
    });
    try {
      const names = await visibleNames(tables);
      // A commit may have been done and not told.
      const committed = names.includes(victimNames(told)[0]!) ? told + 1 : told;
      const last = committed - 1;
      const young = range(Math.max(0, last - AGE_ENTRIES), committed)
        .flatMap(victimNames)
        .toSorted();
      assert.equal(new Set(names).size, names.length, 'rows are there twice');
      assert.deepEqual(
        young.filter((name) => !names.includes(name)),
        [],
        'young rows are gone',
      );
      assert.deepEqual((await brokenReferences(tables)).dangling, []);
      tables.now = victimEntry(last).receivedAtUnixNano;
      await tables.retain();
      assert.deepEqual(await visibleNames(tables), young);
      assert.deepEqual(await brokenReferences(tables), { dangling: [], unreferenced: [] });
      nextOffset = committed;
    } finally {
      await tables.close();
    }
  }
  t.diagnostic(`${nextOffset} entries in ${ROUNDS} rounds`);
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
