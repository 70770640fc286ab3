/** Retention of the tables in a real server, as its operators see it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  fetchSql,
  fetchStatus,
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  type StatusBody,
  untilMaterialized,
} from '../helpers/server-process.ts';

const HOUR_MS = 3_600_000;

interface RetentionFigures {
  readonly ageMs: number;
  readonly runs: number;
  readonly rowsDeleted: Readonly<Record<string, number>>;
  readonly oldestUnixMs: Readonly<Record<string, number | null>>;
  readonly failing: string | null;
}

function retentionOf(status: StatusBody): RetentionFigures {
  return (status['engine'] as { retention: RetentionFigures }).retention;
}

async function sendLog(server: ServerProcess, service: string, body: string, atMs: number): Promise<void> {
  const answer = await fetch(`http://${server.otlpHttp}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      resourceLogs: [
        {
          resource: { attributes: [{ key: 'service.name', value: { stringValue: service } }] },
          scopeLogs: [{ logRecords: [{ timeUnixNano: `${BigInt(atMs) * 1_000_000n}`, body: { stringValue: body } }] }],
        },
      ],
    }),
  });
  assert.equal(answer.status, 200);
}

test('server takes rows older than --tables-retention-age from the tables and tells it', async (t) => {
  const data = scratchDirectory(t);
  const first = await startServerProcess(data);
  t.after(() => first.end('SIGKILL'));
  const now = Date.now();
  await sendLog(first, 'busy', 'old', now - 48 * HOUR_MS);
  await sendLog(first, 'quiet', 'old too', now - 48 * HOUR_MS);
  await sendLog(first, 'busy', 'young', now);
  await untilMaterialized(first);
  assert.equal(Number((await fetchSql(first, 'SELECT count(*) FROM logs'))[0]![0]), 3);
  assert.equal(await first.end('SIGTERM'), 0, first.stderr());

  const server = await startServerProcess(data, undefined, ['--tables-retention-age', '24h']);
  t.after(() => server.end('SIGKILL'));
  let status = await fetchStatus(server);
  while (retentionOf(status).runs === 0) {
    await sleep(20);
    status = await fetchStatus(server);
  }
  assert.deepEqual(await fetchSql(server, 'SELECT body, service_name FROM logs'), [['young', 'busy']]);
  const { ageMs, rowsDeleted, oldestUnixMs, failing } = retentionOf(status);
  assert.deepEqual([ageMs, failing], [24 * HOUR_MS, null]);
  assert.equal(rowsDeleted['logs'], 2);
  assert.equal(oldestUnixMs['logs'], now);
  const metrics = await (await fetch(`http://${server.http}/metrics`)).text();
  assert.match(metrics, /^treasury_tables_retention_age_seconds 86400$/m);
  assert.match(metrics, /^treasury_tables_deleted_rows_total\{table="logs"\} 2$/m);
  assert.match(metrics, /^treasury_tables_retention_runs_total [1-9]/m);

  await sendLog(server, 'quiet', 'again', now);
  await untilMaterialized(server);
  const rows = await fetchSql(server, "SELECT body, resource_attributes['service.name'] FROM logs ORDER BY body");
  assert.deepEqual(rows, [
    ['again', 'quiet'],
    ['young', 'busy'],
  ]);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
});
