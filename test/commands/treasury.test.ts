/**
 * Goal: the process as a user meets it: ready line, signals, exit codes, one server a directory, the client and offline commands.
 * Method: real child processes on temporary directories and free ports.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tableFromIPC } from 'apache-arrow';
import { runShell, runTreasury, startServer, temporaryDirectory } from './process.ts';

const READY = /^ready grpc=127\.0\.0\.1:\d+ otlp_http=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+ data=\S+$/;

test('serve says one ready line, answers, and ends with 0 on SIGTERM', async (context) => {
  const data = temporaryDirectory(context);
  const server = await startServer(context, data);
  assert.match(server.readyLine, READY);
  assert.equal((await fetch(`${server.http}/readyz`)).status, 200);
  assert.ok(existsSync(join(data, 'tables', 'treasury.duckdb')));
  server.child.kill('SIGTERM');
  const { code, stdout, stderr } = await server.finished;
  assert.equal(code, 0);
  assert.equal(stdout, `${server.readyLine}\n`);
  for (const line of stderr.trimEnd().split('\n')) JSON.parse(line);
  assert.ok(!existsSync(join(data, 'lock')));
});

test('serve runs SQL over all its formats and limits', async (context) => {
  const server = await startServer(context, temporaryDirectory(context), ['--sql-rows', '100', '--sql-timeout', '500']);
  const ask = (body: string, accept = 'application/json') =>
    fetch(`${server.http}/treasury/v1/sql`, { method: 'POST', body, headers: { Accept: accept } });
  const arrow = await ask('SELECT range AS i FROM range(50)', 'application/vnd.apache.arrow.stream');
  assert.equal(tableFromIPC(new Uint8Array(await arrow.arrayBuffer())).numRows, 50);
  const cut = (await (await ask('SELECT range AS i FROM range(500)')).json()) as {
    rowCount: number;
    truncated: boolean;
  };
  assert.deepEqual([cut.rowCount, cut.truncated], [100, true]);
  assert.equal((await ask('SELECT nope')).status, 400);
  assert.equal((await ask('DROP TABLE x')).status, 400);
  assert.equal((await ask('SELECT count(*) FROM range(10000000000) t(i) WHERE hash(i) = 7')).status, 422);
  const logs = (await (await ask('SELECT count(*) FROM logs')).json()) as { rows: unknown[][] };
  assert.deepEqual(logs.rows, [['0']]);
});

test('serve ends with 1 and names the PID when the directory is in use', async (context) => {
  const data = temporaryDirectory(context);
  const server = await startServer(context, data);
  const second = await runTreasury([
    'serve',
    '--data',
    data,
    '--grpc',
    '127.0.0.1:0',
    '--otlp-http',
    '127.0.0.1:0',
    '--http',
    '127.0.0.1:0',
  ]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, new RegExp(`\\b${server.child.pid}\\b`));
  assert.equal(second.stdout, '');
});

test('serve ends with 1 when an address is taken, and leaves no lock', async (context) => {
  const data = temporaryDirectory(context);
  const server = await startServer(context, temporaryDirectory(context));
  const taken = new URL(server.http).host;
  const { code, stderr } = await runTreasury([
    'serve',
    '--data',
    data,
    '--grpc',
    '127.0.0.1:0',
    '--otlp-http',
    '127.0.0.1:0',
    '--http',
    taken,
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /EADDRINUSE/);
  assert.ok(!existsSync(join(data, 'lock')));
});

test('serve ends with 1 and one line that says what is wrong with the data directory', async (context) => {
  const folder = temporaryDirectory(context);
  const file = join(folder, 'file');
  writeFileSync(file, '');
  mkdirSync(join(folder, 'odd', 'lock'), { recursive: true });
  mkdirSync(join(folder, 'index', 'log', 'index.sqlite'), { recursive: true });
  for (const [data, reason] of [
    [file, /EEXIST/],
    [join(folder, 'odd'), /it is a folder/],
    [join(folder, 'index'), /./],
  ] as const) {
    const { code, stdout, stderr } = await runTreasury(['serve', '--data', data]);
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /^treasury: Cannot .*\n$/);
    assert.ok(stderr.includes(data), stderr);
    assert.match(stderr, reason);
  }
  assert.deepEqual(readdirSync(join(folder, 'odd')), ['lock']);
});

test('a command line that cannot be understood ends with 2 and the nearest name', async () => {
  const { code, stderr } = await runTreasury(['serve', '--gprc', 'x']);
  assert.equal(code, 2);
  assert.match(stderr, /did you mean --grpc/);
});

test('help and version go to stdout and end with 0', async () => {
  const help = await runTreasury(['serve', '--help']);
  assert.deepEqual([help.code, help.stderr], [0, '']);
  assert.match(help.stdout, /TREASURY_OTLP_HTTP/);
  const version = await runTreasury(['--version']);
  assert.match(version.stdout, /^otelarrow-treasury \d+\.\d+\.\d+/);
});

test('sql and status ask a running server', async (context) => {
  const server = await startServer(context, temporaryDirectory(context));
  const table = await runTreasury(['sql', "SELECT 'é' AS name, 1 AS n", '--server', server.http]);
  assert.equal(table.stdout, 'name  n\n----  -\né     1\n(1 row)\n');
  const csv = await runTreasury(['sql', 'SELECT 1 AS a', '--format', 'csv', '--server', server.http]);
  assert.equal(csv.stdout, 'a\n1\n');
  const wrong = await runTreasury(['sql', 'SELECT nope', '--server', server.http]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /nope/);
  const status = await runTreasury(['status', '--server', server.http]);
  assert.match(status.stdout, /logs\s+1\s+0\s+0\s+0/);
  const json = await runTreasury(['status', '--format', 'json', '--server', server.http]);
  assert.equal((JSON.parse(json.stdout) as { durableOffset: number }).durableOffset, 0);
});

test('a reader that leaves ends a command quietly, a full disk with one line', async (context) => {
  const server = await startServer(context, temporaryDirectory(context));
  for (const format of ['csv', 'table', 'arrow']) {
    const query = `"$@" sql 'SELECT * FROM range(1000000)' --format ${format} --server ${server.http}`;
    const left = await runShell(`{ ${query}; echo "code $?" >&2; } | head -c 1`);
    assert.equal(left.stderr, 'code 0\n', format);
  }
  for (const command of [`sql 'SELECT 1'`, `sql 'SELECT 1' --format csv`, 'status']) {
    const full = await runShell(`"$@" ${command} --server ${server.http} > /dev/full`);
    assert.equal(full.code, 1);
    assert.match(full.stderr, /^treasury: Cannot write to standard output: ENOSPC[^\n]*\n$/);
  }
});

test('client commands end with 1 when nobody listens', async () => {
  const { code, stderr } = await runTreasury(['status', '--server', 'http://127.0.0.1:1']);
  assert.equal(code, 1);
  assert.match(stderr, /Cannot reach http:\/\/127\.0\.0\.1:1/);
});

test('log looks at a directory without a server', async (context) => {
  const data = temporaryDirectory(context);
  const absent = await runTreasury(['log', 'ls', '--data', join(data, 'nothing')]);
  assert.deepEqual([absent.code, absent.stdout], [1, '']);
  const server = await startServer(context, data);
  assert.equal((await runTreasury(['log', 'verify', '--data', data])).code, 1);
  server.child.kill('SIGINT');
  assert.equal((await server.finished).code, 0);
  const verified = await runTreasury(['log', 'verify', '--data', data]);
  assert.deepEqual([verified.code, verified.stdout], [0, 'The log is whole\n']);
  assert.equal((await runTreasury(['log', 'ls', '--data', data])).code, 0);
  assert.equal((await runTreasury(['log', 'lss', '--data', data])).code, 2);
});
