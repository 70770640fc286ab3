/**
 * Goal: exporters of a real server deliver what it took to another server, at least once, over kills and restarts of both.
 * Method: two server processes; logs over OTLP/HTTP into the first; the second is asked with SQL what came.
 * Invariant: each log record is there; each is there once while nothing is killed.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTreasury } from '../commands/process.ts';
import { fetchSql, scratchDirectory, type ServerProcess, startServerProcess } from '../helpers/server-process.ts';

interface ExporterFigures {
  readonly state: string;
  readonly error: string | null;
  readonly ackedOffset: number;
  readonly lag: { readonly entries: number };
}

async function sendLogs(server: ServerProcess, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) {
    const logRecords = [
      { timeUnixNano: String(1_700_000_000_000_000_000n + BigInt(i)), body: { stringValue: `log ${i}` } },
    ];
    const body = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
    const headers = { 'content-type': 'application/json' };
    const { status } = await fetch(`http://${server.otlpHttp}/v1/logs`, { method: 'POST', body, headers });
    assert.equal(status, 200);
  }
}

async function exporter(server: ServerProcess, name: string): Promise<ExporterFigures> {
  const response = await fetch(`http://${server.http}/treasury/v1/exporters/${name}`);
  return (await response.json()) as ExporterFigures;
}

/** Waits until all that `source` holds was acknowledged. */
async function untilSent(source: ServerProcess, name: string): Promise<void> {
  for (;;) {
    const { lag, state, error } = await exporter(source, name);
    if (lag.entries === 0) return;
    assert.notEqual(state, 'failed', error ?? '');
    await sleep(50);
  }
}

async function bodiesOf(server: ServerProcess): Promise<string[]> {
  return (await fetchSql(server, 'SELECT body FROM logs ORDER BY time')).map(([body]) => String(body));
}

/** Waits until the target's tables have so many rows. */
async function untilRows(server: ServerProcess, rows: number): Promise<string[]> {
  for (;;) {
    const bodies = await bodiesOf(server);
    if (bodies.length >= rows) return bodies;
    await sleep(100);
  }
}

function logTexts(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `log ${from + i}`);
}

test('a flag exports the log to another server, and goes on where it was after a restart', async (t) => {
  const target = await startServerProcess(scratchDirectory(t));
  t.after(() => target.child.kill('SIGKILL'));
  const data = scratchDirectory(t);
  const flags = ['--export', `copy=otlp://${target.grpc}?from=start&compression=gzip&header.x-key=hidden-token`];
  const first = await startServerProcess(data, '127.0.0.1:0', flags);
  t.after(() => first.child.kill('SIGKILL'));
  await sendLogs(first, 0, 20);
  await untilSent(first, 'copy');
  assert.deepEqual(await untilRows(target, 20), logTexts(0, 20));
  assert.equal(await first.end('SIGTERM'), 0);
  assert.ok(!first.stderr().includes('hidden-token'), first.stderr());
  const second = await startServerProcess(data);
  t.after(() => second.child.kill('SIGKILL'));
  await sendLogs(second, 20, 30);
  await untilSent(second, 'copy');
  assert.deepEqual(
    await untilRows(target, 30),
    logTexts(0, 30),
    'without the flag it goes on, and sends nothing twice',
  );
  await target.end('SIGTERM');
  await second.end('SIGTERM');
});

test('kills of source and target lose nothing', async (t) => {
  const targetData = scratchDirectory(t);
  let target = await startServerProcess(targetData);
  const { grpc } = target;
  t.after(() => target.child.kill('SIGKILL'));
  const data = scratchDirectory(t);
  let source = await startServerProcess(data, '127.0.0.1:0', ['--export', `copy=otlp://${grpc}?from=start`]);
  t.after(() => source.child.kill('SIGKILL'));
  await sendLogs(source, 0, 15);
  await source.end('SIGKILL');
  source = await startServerProcess(data);
  await sendLogs(source, 15, 30);
  await target.end('SIGKILL');
  await sendLogs(source, 30, 40);
  assert.ok((await exporter(source, 'copy')).lag.entries > 0, 'a target that is gone costs its lag alone');
  await source.end('SIGKILL');
  const { offset } = JSON.parse(readFileSync(join(data, 'cursors', 'copy.json'), 'utf8')) as { offset: string };
  source = await startServerProcess(data);
  assert.ok((await exporter(source, 'copy')).ackedOffset >= Number(offset));
  target = await startServerProcess(targetData, grpc);
  await untilSent(source, 'copy');
  const bodies = await untilRows(target, 40);
  assert.deepEqual(
    [...new Set(bodies)].toSorted((a, b) => Number(a.slice(4)) - Number(b.slice(4))),
    logTexts(0, 40),
  );
  await source.end('SIGTERM');
  await target.end('SIGTERM');
});

test('treasury push creates, shows, rewinds, forks and deletes exporters of a server', async (t) => {
  const target = await startServerProcess(scratchDirectory(t));
  const source = await startServerProcess(scratchDirectory(t));
  t.after(() => {
    target.child.kill('SIGKILL');
    source.child.kill('SIGKILL');
  });
  await sendLogs(source, 0, 5);
  const push = async (...rest: string[]) => {
    const { code, stdout, stderr } = await runTreasury(['push', ...rest, '--server', `http://${source.http}`]);
    return { code, text: stdout + stderr };
  };
  const created = await push('create', 'copy', `otlp://${target.grpc}?header.key=hidden-token`);
  assert.deepEqual([created.code, created.text.includes('hidden-token')], [0, false], created.text);
  assert.match(created.text, /target +otlp-grpc http:/);
  assert.match((await push('rewind', 'copy', '2')).text, /acknowledged below offset/);
  await untilSent(source, 'copy');
  assert.deepEqual(await untilRows(target, 3), logTexts(2, 5));
  const { stdout } = await runTreasury(['status', '--server', `http://${source.http}`]);
  assert.match(stdout, /copy +(idle|running) +5 +0/);
  assert.match((await push('pause', 'copy')).text, /state +paused/);
  assert.match((await push('rewind', 'copy', 'event:1970-01-01T00:00:00Z')).text, /acknowledged below offset +0\n/);
  assert.match((await push('rewind', 'copy', 'end')).text, /acknowledged below offset +5\n/);
  assert.match((await push('fork', 'copy', 'other')).text, /name +other/);
  assert.match((await push('ls')).text, /copy +paused[\s\S]*other +(idle|running)/);
  assert.equal((await push('delete', 'other')).code, 0);
  const unknown = await push('show', 'other');
  assert.deepEqual([unknown.code, unknown.text], [1, 'treasury: Cannot find exporter other\n']);
  assert.match((await push('rewind', 'copy', '77')).text, /the log holds 0 to/);
  await source.end('SIGTERM');
  await target.end('SIGTERM');
});
