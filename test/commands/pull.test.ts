/**
 * Goal: `treasury pull` has in its files what the server has in its tables, once, wherever a run began or ended.
 * Method: real servers on logs made of captures, real pulls as child processes; some write files after every few rows and are killed at
 * random moments. Tables are compared whole after the server has stopped; streams are read with apache-arrow.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { tableFromIPC } from 'apache-arrow';
import { createEntryStreamReader } from '../../src/log/index.ts';
import { readTableFolder } from '../../src/materialize/index.ts';
import { captureNames, readArrowStreams } from '../helpers/captures.ts';
import { loaderFlags } from '../helpers/checkout.ts';
import { appendCapture, openTestLog } from '../helpers/engine-log.ts';
import { pythonMissing, runPythonJson } from '../helpers/python.ts';
import { type Random, seededRandom } from '../helpers/random.ts';
import {
  fetchSql,
  scratchDirectory,
  serverEnvironment,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';
import { openStoppedTables } from '../helpers/stopped-tables.ts';
import { assertSameRows } from '../helpers/table-files.ts';
import { runTreasury } from './process.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const SMALL_FLUSHES = new URL('../helpers/small-flushes.ts', import.meta.url).href;
const SMALL_STATES = new URL('../helpers/small-states.ts', import.meta.url).href;
const NAMES = captureNames({ shared: false }).filter((name) =>
  readArrowStreams(name).some(({ messages }) => messages.length > 0),
);
/** Dozens of flushes, and not so many that kills take minutes. */
const KILLED = ['rich-1', 'telemetrygen-1'];
/** All streams live in one segment. */
const LONG_SEGMENTS = 64 * 1024 * 1024;

test('a pulled Parquet folder has the rows of all tables of the server', async (t) => {
  const server = await serverOf(t, NAMES);
  const directory = join(scratchDirectory(t), 'out');
  const done = await pull(server, ['--to', 'parquet', directory]);
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stderr, /Wrote \d+ rows in \d+ parquet files/);
  assert.equal(done.stdout, '');
  const counts = await compared(t, server, directory);
  assert.ok(counts.logs > 0 && counts.spans > 0 && counts.samples > 0);
});

test('a pull goes on where the folder ends, and refuses to begin before', async (t) => {
  const server = await serverOf(t, NAMES);
  const directory = join(scratchDirectory(t), 'out');
  const first = await pull(server, ['--to', 'parquet', directory, '--limit', '20']);
  assert.equal(first.code, 0, first.stderr);
  const { nextOffset } = (await readTableFolder(directory))!;
  assert.equal(nextOffset, 20n);
  const again = await pull(server, ['--to', 'parquet', directory, '--from', '5']);
  assert.equal(again.code, 1);
  assert.match(
    again.stderr,
    /Cannot pull from 5 into .*: it has the entries below 20; leave --from out to go on there/,
  );
  const rest = await pull(server, ['--to', 'parquet', directory]);
  assert.equal(rest.code, 0, rest.stderr);
  await compared(t, server, directory);
});

test('a pull fills what a Parquet folder lacks before its beginning and in its gaps, and writes no row twice', async (t) => {
  const server = await serverOf(t, NAMES);
  const directory = join(scratchDirectory(t), 'out');
  const pieces = [
    ['10', '5'],
    ['0', '5'],
    ['3', '9'],
  ];
  for (const [from, limit] of pieces) {
    const { code, stderr } = await pull(server, ['--to', 'parquet', directory, '--from', from!, '--limit', limit!]);
    assert.equal(code, 0, stderr);
  }
  const { firstOffset, nextOffset, gaps } = (await readTableFolder(directory))!;
  assert.deepEqual([firstOffset, nextOffset, gaps], [0n, 15n, undefined]);
  const rest = await pull(server, ['--to', 'parquet', directory]);
  assert.equal(rest.code, 0, rest.stderr);
  await compared(t, server, directory);
});

test('a pull that is killed over and over misses no row and has none twice', async (t) => {
  const server = await serverOf(t, KILLED);
  const directory = join(scratchDirectory(t), 'out');
  const random = seededRandom(7);
  let kills = 0;
  for (let round = 0; ; round++) {
    const child = start(server, ['--to', 'parquet', directory], ['--import', SMALL_FLUSHES]);
    const ended = once(child, 'exit');
    let told = '';
    child.stderr!.setEncoding('utf8').on('data', (part: string) => (told += part));
    // The first rounds are killed early, so that some end is in sight on any machine.
    if (round < 6) await killAmidFiles(child, directory, random);
    const [code] = await ended;
    if (child.signalCode === 'SIGKILL') kills++;
    if (code === 0) break;
    assert.equal(code, null, `only a kill may end a pull early: ${told}`);
  }
  t.diagnostic(`${kills} kills`);
  assert.ok(kills > 0, 'every pull was through before it was killed');
  await compared(t, server, directory);
});

test('a pull whose decoders forget streams asks again, until there is room for all that live', async (t) => {
  const server = await serverOf(t, KILLED, LONG_SEGMENTS);
  const directory = join(scratchDirectory(t), 'out');
  const child = start(server, ['--to', 'parquet', directory], ['--import', SMALL_STATES]);
  t.after(() => child.kill('SIGKILL'));
  const told = text(child.stderr!);
  assert.deepEqual(await once(child, 'exit'), [0, null], await told);
  assert.ok((await pullsOf(server)) > 1);
  await compared(t, server, directory);
});

test('Delta tables of a pull that is killed over and over have each row once', {
  skip: pythonMissing('deltalake'),
}, async (t) => {
  const server = await serverOf(t, KILLED);
  const directory = join(scratchDirectory(t), 'out');
  const random = seededRandom(11);
  for (let round = 0; round < 4; round++) {
    const child = start(server, ['--to', 'delta', directory], ['--import', SMALL_FLUSHES]);
    const ended = once(child, 'exit');
    child.stderr!.resume();
    await killAmidFiles(child, directory, random);
    await ended;
  }
  const done = await pull(server, ['--to', 'delta', directory]);
  assert.equal(done.code, 0, done.stderr);
  for (const table of ['logs', 'spans', 'samples', 'histograms']) {
    const [wanted] = await fetchSql(server, `SELECT count(*), count(*), sum(entry_offset) FROM ${table}`);
    const found = await runPythonJson(
      `
import json, sys
from deltalake import DeltaTable
table = DeltaTable(sys.argv[1]).to_pyarrow_table(columns=['entry_offset', 'row'])
keys = list(zip(table['entry_offset'].to_pylist(), table['row'].to_pylist()))
print(json.dumps([str(len(keys)), str(len(set(keys))), str(sum(k[0] for k in keys))]))
`,
      { args: [join(directory, table)] },
    );
    assert.deepEqual(found, wanted!.map(String), table);
  }
});

test('a pull that follows writes what comes later, survives its server, and ends in order', async (t) => {
  const data = scratchDirectory(t);
  await makeLog(data, ['telemetrygen-1']);
  let server = await startServerProcess(data);
  const http = server.http;
  t.after(() => server.end('SIGKILL'));
  const directory = join(scratchDirectory(t), 'out');
  const child = start(server, ['--to', 'parquet', directory, '--follow'], ['--import', SMALL_FLUSHES]);
  const ended = once(child, 'exit');
  t.after(() => child.kill('SIGKILL'));
  await until(async () => ((await readTableFolder(directory))?.nextOffset ?? 0n) > 0n);
  assert.equal(await server.end('SIGTERM'), 0);
  await makeLog(data, ['rich-1']);
  server = await startServerProcess(data, '127.0.0.1:0', ['--http', http]);
  const { durableOffset } = await untilMaterialized(server);
  await until(async () => (await readTableFolder(directory))!.nextOffset >= BigInt(durableOffset));
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
  await compared(t, server, directory);
});

test('a file and standard output have the same Arrow stream, which a reader that leaves ends quietly', async (t) => {
  const server = await serverOf(t, NAMES);
  const file = join(scratchDirectory(t), 'log.arrows');
  const done = await pull(server, ['--to', 'arrow', file, '--from', '3', '--signal', 'logs']);
  assert.equal(done.code, 0, done.stderr);
  const bytes = readFileSync(file);
  const entries = createEntryStreamReader()
    .push(bytes)
    .filter(({ offset }) => offset >= 3n);
  assert.ok(entries.length > 0 && entries.every(({ signal }) => signal === 1));
  assert.ok(tableFromIPC(bytes).numRows >= entries.length);
  const child = start(server, ['--to', 'stdout', '--from', '3', '--signal', 'logs']);
  const pieces: Buffer[] = [];
  for await (const piece of child.stdout!) pieces.push(piece as Buffer);
  assert.ok(Buffer.concat(pieces).equals(bytes));
  const left = start(server, ['--to', 'stdout', '--follow']);
  const ended = once(left, 'exit');
  await once(left.stdout!, 'readable');
  left.stdout!.destroy();
  // Whatever comes next finds nobody.
  await feed(server);
  assert.deepEqual(await ended, [0, null]);
});

test('a stream that is stopped ends like one that is complete', async (t) => {
  const server = await serverOf(t, ['rich-1']);
  const file = join(scratchDirectory(t), 'log.arrows');
  const child = start(server, ['--to', 'arrow', file, '--follow']);
  const ended = once(child, 'exit');
  const draft = join(dirname(file), `.log.arrows.${child.pid}.unfinished`);
  // Its head may come alone.
  await until(async () => existsSync(draft) && createEntryStreamReader().push(readFileSync(draft)).length > 0);
  child.kill('SIGINT');
  assert.deepEqual(await ended, [0, null]);
  const reader = createEntryStreamReader();
  assert.ok(reader.push(readFileSync(file)).length > 0);
  assert.equal(reader.isEnded, true);
});

test('pulls to one file do not write into each other, and leave nothing beside it', async (t) => {
  const server = await serverOf(t, ['rich-1']);
  const directory = scratchDirectory(t);
  const file = join(directory, 'log.arrows');
  const one = start(server, ['--to', 'arrow', file, '--follow']);
  t.after(() => one.kill('SIGKILL'));
  const draft = join(directory, `.log.arrows.${one.pid}.unfinished`);
  await until(async () => existsSync(draft) && createEntryStreamReader().push(readFileSync(draft)).length > 0);
  const other = await pull(server, ['--to', 'arrow', file]);
  assert.equal(other.code, 0, other.stderr);
  assert.ok(tableFromIPC(readFileSync(file)).numRows > 0);
  const ended = once(one, 'exit');
  one.kill('SIGKILL');
  await ended;
  assert.ok(existsSync(draft));
  assert.equal((await pull(server, ['--to', 'arrow', file])).code, 0);
  assert.deepEqual(readdirSync(directory), ['log.arrows']);
});

test('what is missing or cannot be is told: destinations, offsets out of range, other logs, servers that are gone', async (t) => {
  const usage = /--to is missing, it must be parquet DIR, delta DIR, arrow FILE or stdout/;
  assert.match((await runTreasury(['pull'])).stderr, usage);
  for (const [argv, reason] of [
    [['pull', '--to', 'parquet'], /Cannot use --to parquet: DIR is missing behind it/],
    [['pull', '--to', 'stdout', 'x'], /Cannot use --to stdout: nothing goes with it/],
    [['pull', '--to', 'parqet', 'x'], /did you mean parquet/],
    [['pull', '--to', 'stdout', '--from', 'yesterday'], /it must be an offset, start, end, auto or a time/],
  ] as const) {
    const { code, stderr } = await runTreasury(argv);
    assert.equal(code, 2, stderr);
    assert.match(stderr, reason);
  }
  const server = await serverOf(t, ['telemetrygen-1']);
  const directory = join(scratchDirectory(t), 'out');
  const beyond = await pull(server, ['--to', 'parquet', directory, '--from', '1000000']);
  assert.equal(beyond.code, 1);
  assert.match(beyond.stderr, /Cannot read from offset 1000000: the log holds 0 to \d+/);
  assert.equal(existsSync(join(directory, '_treasury.json')), false);
  assert.equal((await pull(server, ['--to', 'parquet', directory])).code, 0);
  const other = await serverOf(t, ['telemetrygen-1']);
  const foreign = await pull(other, ['--to', 'parquet', directory, '--from', 'end']);
  assert.equal(foreign.code, 1);
  assert.match(foreign.stderr, /it holds rows of log .*, not of log/);
});

test('a time begins with the first entry received then or later', async (t) => {
  const server = await serverOf(t, ['telemetrygen-1']);
  const directory = join(scratchDirectory(t), 'out');
  const done = await pull(server, ['--to', 'parquet', directory, '--from', '2020-01-01T00:00:00Z']);
  assert.equal(done.code, 0, done.stderr);
  await compared(t, server, directory);
});

async function serverOf(t: TestContext, names: readonly string[], segmentBytesMax?: number): Promise<ServerProcess> {
  const data = scratchDirectory(t);
  await makeLog(data, names, segmentBytesMax);
  const server = await startServerProcess(data);
  t.after(() => server.end('SIGKILL'));
  await untilMaterialized(server);
  return server;
}

async function makeLog(data: string, names: readonly string[], segmentBytesMax = 64 * 1024): Promise<void> {
  const log = await openTestLog(data, { segmentBytesMax });
  for (const name of names) await appendCapture(log, name);
  await log.close();
}

/** Stops the server and compares all tables with the folder. */
async function compared(t: TestContext, server: ServerProcess, directory: string) {
  await untilMaterialized(server);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  return assertSameRows(await openStoppedTables(t, server.data), directory);
}

function pull(server: ServerProcess, argv: readonly string[]) {
  return runTreasury(['pull', '--server', `http://${server.http}`, ...argv]);
}

function start(server: ServerProcess, argv: readonly string[], node: readonly string[] = []): ChildProcess {
  const argument = [...loaderFlags, ...node, MAIN, 'pull', '--server', `http://${server.http}`, ...argv];
  return spawn(process.execPath, argument, { stdio: ['ignore', 'pipe', 'pipe'], env: serverEnvironment() });
}

/** Kills a pull when it has begun some more files; returns when it is killed or has ended. */
async function killAmidFiles(child: ChildProcess, directory: string, random: Random): Promise<void> {
  const wanted = filesIn(directory) + 1 + random.below(6);
  while (child.exitCode === null && filesIn(directory) < wanted) await sleep(2);
  await sleep(random.below(50));
  child.kill('SIGKILL');
}

function filesIn(directory: string): number {
  return existsSync(directory) ? readdirSync(directory, { recursive: true }).length : 0;
}

/** Pulls of the log since the server began. */
async function pullsOf(server: ServerProcess): Promise<number> {
  const metrics = await (await fetch(`http://${server.http}/metrics`)).text();
  return Number(/^treasury_pulls_started_total\{kind="log"\} (\d+)/m.exec(metrics)?.[1]);
}

async function feed(server: ServerProcess): Promise<void> {
  for (let i = 0; i < 5; i++) {
    const body = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: 'x' } }] }] }] });
    await fetch(`http://${server.otlpHttp}/v1/logs`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
    });
    await sleep(50);
  }
}

async function until(reached: () => Promise<boolean>): Promise<void> {
  while (!(await reached())) await sleep(50);
}
