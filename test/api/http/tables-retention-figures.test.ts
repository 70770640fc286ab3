import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENGINE_STATUS, startHttpHarness } from './harness.ts';

const sql = () => Promise.reject(new Error('no test asks'));

test('metrics and status tell what the retention of the tables keeps and deleted', async (t) => {
  const { base, listener } = await startHttpHarness({ engine: { sql, status: () => Promise.resolve(ENGINE_STATUS) } });
  t.after(() => listener.stop());
  const text = await (await fetch(`${base}/metrics`)).text();
  for (const line of [
    'treasury_tables_retention_age_seconds 86400',
    'treasury_tables_retention_interval_seconds 60',
    'treasury_tables_retention_runs_total 3',
    'treasury_tables_retention_last_run_time_seconds 1700000000',
    'treasury_tables_retention_failing 0',
    'treasury_tables_deleted_rows_total{table="logs"} 40',
    'treasury_tables_deleted_rows_total{table="logs_resources"} 2',
    'treasury_tables_oldest_time_seconds{table="logs"} 1600000000',
    'treasury_tables_free_bytes 1024',
    'treasury_tables_rewrites_total 1',
  ]) {
    assert.ok(text.split('\n').includes(line), `${line} is missing`);
  }
  const body = (await (await fetch(`${base}/treasury/v1/status`)).json()) as { engine: { retention: unknown } };
  assert.deepEqual(body.engine.retention, ENGINE_STATUS.retention);
});

test('metrics of tables that keep their rows have no figures of retention', async (t) => {
  const retention = { ...ENGINE_STATUS.retention, ageMs: null };
  const { base, listener } = await startHttpHarness({
    engine: { sql, status: () => Promise.resolve({ ...ENGINE_STATUS, retention }) },
  });
  t.after(() => listener.stop());
  assert.doesNotMatch(await (await fetch(`${base}/metrics`)).text(), /treasury_tables_/);
});
