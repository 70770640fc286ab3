/** When the index is believed, and what it knows that segments do not. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { openLog } from '../../src/log/index.ts';
import { openSegmentIndex } from '../../src/log/segment-index.ts';
import { scratch } from './log-helpers.ts';

/** Changes an index that nobody has open. */
function change(path: string, sql: string, ...values: (string | bigint)[]): void {
  const database = new Database(path);
  database.prepare(sql).run(...values);
  database.close();
}

function isTrusted(path: string): boolean {
  const index = openSegmentIndex(path);
  const { isTrusted } = index;
  index.close({ clean: false });
  return isTrusted;
}

test('index that was not closed is trusted after a crash of the process, not of the machine', (t) => {
  const path = join(scratch(t), 'index.sqlite');
  const index = openSegmentIndex(path);
  index.markChanging();
  index.markOpen();
  index.close({ clean: false });
  // Writes are never synced, so what a power cut left of them is anybody's guess.
  assert.equal(isTrusted(path), existsSync('/proc/sys/kernel/random/boot_id'));
  change(path, "UPDATE meta SET value = 'another boot' WHERE key = 'boot_id'");
  assert.equal(isTrusted(path), false);
  change(path, "UPDATE meta SET value = '1' WHERE key = 'clean'");
  assert.equal(isTrusted(path), true);
});

test('offsets that a consumer has seen are not given out again, whatever happened to the segments', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  const { uuid } = log.status();
  await log.close();
  const columns = 'name, log_uuid, next_offset, updated_at';
  change(
    join(directory, 'index.sqlite'),
    `INSERT INTO cursors (${columns}) VALUES ('a', ?, 7, 0), ('b', 'another log', 90, 0)`,
    uuid,
  );
  const again = await openLog({ directory });
  assert.equal(again.status().durableOffset, 7n);
  assert.equal((await again.appendOtlp(1, { batchId: 0n, record: [Buffer.from('x')] })).offset, 7n);
  await again.close();
});

test('ids of streams that wrote nothing are not given out again once a segment has begun', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  const ids = [log.openStream(1), log.openStream(1), log.openStream(1)].map(({ id }) => id);
  await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('x')] });
  await log.close();
  const again = await openLog({ directory });
  assert.ok(!ids.includes(again.openStream(1).id));
  await again.close();
});
