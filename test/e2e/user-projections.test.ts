/**
 * Goal: a user's way with projections: a file in the data directory, a look at the files, a table to query, an error with its line, kill -9.
 * Method: a real server; logs by OTLP over HTTP as JSON.
 */
import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fetchSql, scratchDirectory, type ServerProcess, startServerProcess } from '../helpers/server-process.ts';

interface Listed {
  readonly name: string;
  readonly kind: string;
  readonly version: number;
  readonly state: string;
  readonly lag: number;
  readonly error: string | null;
}

let sent = 0;

async function send(server: ServerProcess, count: number): Promise<void> {
  const logRecords = Array.from({ length: count }, () => {
    const n = sent++;
    return {
      timeUnixNano: `${1_700_000_000 + n}000000000`,
      severityNumber: n % 2 === 0 ? 9 : 17,
      body: { stringValue: `log ${n}` },
      attributes: [{ key: 'http.route', value: { stringValue: `/r${n % 3}` } }],
    };
  });
  const response = await fetch(`http://${server.otlpHttp}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] }),
  });
  assert.equal(response.status, 200);
}

async function listed(server: ServerProcess, name: string): Promise<Listed | undefined> {
  const response = await fetch(`http://${server.http}/treasury/v1/projections`);
  const { projections } = (await response.json()) as { projections: Listed[] };
  return projections.find((projection) => projection.name === name);
}

async function untilServing(server: ServerProcess, name: string, version: number): Promise<void> {
  for (;;) {
    const found = await listed(server, name);
    if (found?.version === version && found.state === 'serving' && found.lag === 0) return;
    await sleep(20);
  }
}

async function look(server: ServerProcess): Promise<{ problems: { file: string; line: number; message: string }[] }> {
  const response = await fetch(`http://${server.http}/treasury/v1/projections`, { method: 'POST' });
  assert.equal(response.status, 200);
  return (await response.json()) as { problems: { file: string; line: number; message: string }[] };
}

test('a file becomes a table that keeps up, changes with its text, survives kill -9 and goes with the file', async (t) => {
  const data = scratchDirectory(t);
  const file = join(data, 'projections', 'routes.sql');
  await mkdir(join(data, 'projections'), { recursive: true });
  let server = await startServerProcess(data);
  t.after(() => server.end('SIGKILL'));
  await send(server, 30);
  await writeFile(file, "SELECT entry_offset, row, time,\n  atributes['http.route'] AS route FROM logs");
  const { problems } = await look(server);
  assert.deepEqual([problems[0]?.file, problems[0]?.line], ['routes.sql', 2]);
  assert.equal((await listed(server, 'routes'))?.state, 'refused');

  await writeFile(file, "SELECT entry_offset, row, time, attributes['http.route'] AS route FROM logs");
  assert.deepEqual((await look(server)).problems, []);
  await untilServing(server, 'routes', 1);
  await send(server, 30);
  await untilServing(server, 'routes', 1);
  const byRoute = 'SELECT route, count(*) FROM routes GROUP BY ALL ORDER BY ALL';
  assert.deepEqual(await fetchSql(server, byRoute), [
    ['/r0', '20'],
    ['/r1', '20'],
    ['/r2', '20'],
  ]);

  await writeFile(
    file,
    "SELECT entry_offset, time, attributes['http.route'] AS route FROM logs WHERE severity_number >= 17",
  );
  await look(server);
  await send(server, 6);
  await server.end('SIGKILL');
  server = await startServerProcess(data);
  await untilServing(server, 'routes', 2);
  assert.deepEqual(await fetchSql(server, byRoute), [
    ['/r0', '11'],
    ['/r1', '11'],
    ['/r2', '11'],
  ]);

  await rm(file);
  await look(server);
  await assert.rejects(fetchSql(server, byRoute), /routes does not exist/);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
});
