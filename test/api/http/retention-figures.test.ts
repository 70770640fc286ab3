import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOG_STATUS, startHttpHarness } from './harness.ts';

test('metrics and status tell what retention keeps, deleted and waits for', async (t) => {
  const { base, listener } = await startHttpHarness();
  t.after(() => listener.stop());
  const text = await (await fetch(`${base}/metrics`)).text();
  for (const line of [
    'treasury_log_deleted_segments_total{reason="age"} 2',
    'treasury_log_deleted_bytes_total{reason="bytes"} 100',
    'treasury_log_deleted_entries_total{reason="reserve"} 0',
    'treasury_log_deleted_offset 7',
    'treasury_log_retention_bytes 1000000',
    'treasury_log_retention_age_seconds 3600',
    'treasury_log_retention_failing 0',
    'treasury_log_disk_free_bytes 5000000',
    'treasury_log_disk_reserve_bytes 4000000',
    'treasury_log_hold_offset{consumer="tables",policy="drop"} 6',
    'treasury_log_hold_passed_entries_total{consumer="tables",policy="drop"} 1',
  ]) {
    assert.ok(text.includes(`\n${line}\n`), line);
  }
  const body = (await (await fetch(`${base}/treasury/v1/status`)).json()) as { log: { retention: unknown } };
  const none = { segments: 0, bytes: 0, entries: 0 };
  assert.deepEqual(body.log.retention, {
    ...LOG_STATUS.retention,
    deletedTo: 7,
    deleted: {
      age: { segments: 2, bytes: 300, entries: 5 },
      bytes: { segments: 1, bytes: 100, entries: 2 },
      reserve: none,
    },
    holds: [{ name: 'tables', policy: 'drop', offset: 6, passedEntries: 1 }],
  });
});

test('what is unknown or unlimited is left out of the metrics', async (t) => {
  const retention = { ...LOG_STATUS.retention, ageMaxMs: null, bytesMax: null, freeBytes: null, deletedTo: null };
  const { base, listener } = await startHttpHarness({ log: { status: () => ({ ...LOG_STATUS, retention }) } });
  t.after(() => listener.stop());
  const text = await (await fetch(`${base}/metrics`)).text();
  assert.doesNotMatch(text, /^treasury_log_(retention_(age_seconds|bytes)|disk_free_bytes|deleted_offset) /m);
});
