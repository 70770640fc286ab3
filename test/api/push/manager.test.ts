/**
 * Goal: exporters are what was last answered, whatever ends the process or the thread, and tell no secret.
 * Method: real log, cursors and files; a worker that does what the test says.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readExporter } from '../../../src/api/push/exporter-config.ts';
import { createExporterManager, type ExporterManager } from '../../../src/api/push/manager.ts';
import { createLogger, LIMITS } from '../../../src/base/index.ts';
import { type Cursors, openCursors, openLog, type RetainedLog } from '../../../src/log/index.ts';
import { scratchDirectory } from '../../helpers/server-process.ts';
import { appendTexts } from '../../log/retention-helpers.ts';
import { scriptedWorkers, type ScriptedWorkers } from './scripted-worker.ts';

const TARGET = { protocol: 'otlp-grpc', endpoint: 'http://127.0.0.1:4317' } as const;
const SECRET_VALUE = 'Bearer hidden-token';

interface Running {
  readonly manager: ExporterManager;
  readonly cursors: Cursors;
  readonly workers: ScriptedWorkers;
  readonly lines: string[];
  end(): Promise<void>;
}

async function logWith(t: TestContext, entries: number): Promise<RetainedLog> {
  const log = await openLog({ directory: scratchDirectory(t) });
  t.after(() => log.close());
  await appendTexts(log, entries);
  return log;
}

async function start(
  t: TestContext,
  data: string,
  log: RetainedLog,
  more: { wanted?: Parameters<typeof createExporterManager>[0]['wanted']; restartMinMs?: number } = {},
): Promise<Running> {
  const workers = scriptedWorkers();
  const lines: string[] = [];
  const logger = createLogger({ format: 'json', level: 'debug', write: (line) => lines.push(line) });
  const cursors = await openCursors({ directory: join(data, 'cursors'), log, logger });
  const manager = await createExporterManager({
    directory: join(data, 'exporters'),
    cursors,
    log,
    startWorker: workers.start,
    offsetAtTime: (unixNano) => Promise.resolve(unixNano % 10n),
    logger,
    wanted: more.wanted ?? [],
    limits: { ...LIMITS, pushRestartMinMs: more.restartMinMs ?? 1, pushRestartsMax: 3, pushWorkerStopMaxMs: 50 },
  });
  const end = async (): Promise<void> => {
    await manager.stop();
    await cursors.close();
  };
  t.after(end);
  return { manager, cursors, workers, lines, end };
}

test('the worker starts with the first exporter and ends with the last', async (t) => {
  const log = await logWith(t, 5);
  const { manager, workers } = await start(t, scratchDirectory(t), log);
  assert.equal(workers.workers.length, 0);
  const { state, ackedOffset } = await manager.put('a', { ...TARGET, from: 'start' });
  assert.deepEqual([state, ackedOffset], ['idle', 0n]);
  assert.deepEqual(workers.last.running, new Map([['a', 0n]]));
  await manager.put('b', TARGET);
  assert.deepEqual(workers.last.running.get('b'), 5n, 'the end is where one begins that says nothing');
  await manager.remove('a');
  assert.equal(workers.last.commands.at(-1)?.type, 'stop');
  await manager.remove('b');
  assert.equal(workers.last.commands.at(-1)?.type, 'end');
  assert.equal(workers.workers.length, 1);
  await manager.put('c', TARGET);
  assert.equal(workers.workers.length, 2);
});

test('acknowledged offsets are where an exporter goes on after a restart', async (t) => {
  const log = await logWith(t, 9);
  const data = scratchDirectory(t);
  const first = await start(t, data, log);
  await first.manager.put('a', { ...TARGET, from: '2', headers: { 'X-Key': SECRET_VALUE }, retention: 'hold' });
  first.workers.last.tell({ name: 'a', ackedOffset: 6n, sentItems: 40, sentBatches: 4 });
  const { ackedOffset, lagEntries, totals } = first.manager.get('a');
  assert.deepEqual([ackedOffset, lagEntries, totals.sentItems], [6n, 3n, 40]);
  await first.end();
  const second = await start(t, data, log);
  assert.equal(second.workers.last.running.get('a'), 6n);
  const [command] = second.workers.last.commands;
  assert.ok(command?.type === 'start');
  assert.deepEqual(command.config.headers, { 'x-key': SECRET_VALUE });
  assert.equal(second.cursors.get('a')?.status.policy, 'hold');
});

test('a place is durable a moment after it was told, without an end in order', async (t) => {
  const log = await logWith(t, 9);
  const data = scratchDirectory(t);
  const { manager, workers } = await start(t, data, log);
  await manager.put('a', { ...TARGET, from: 'start' });
  workers.last.tell({ name: 'a', ackedOffset: 7n });
  const place = () => (JSON.parse(readFileSync(join(data, 'cursors', 'a.json'), 'utf8')) as { offset: string }).offset;
  while (place() !== '7') await sleep(10);
});

test('pause, resume and rewind stop the exporter, move its cursor and start it there', async (t) => {
  const log = await logWith(t, 9);
  const { manager, workers } = await start(t, scratchDirectory(t), log);
  await manager.put('a', { ...TARGET, from: 'start' });
  workers.last.tell({ name: 'a', ackedOffset: 6n, sentItems: 5 });
  assert.equal((await manager.pause('a')).state, 'paused');
  assert.equal((await manager.pause('a')).state, 'paused');
  assert.equal((await manager.rewind('a', '1')).ackedOffset, 1n);
  assert.equal((await manager.resume('a')).state, 'idle');
  assert.equal(workers.last.running.get('a'), 1n);
  assert.equal((await manager.rewind('a', '1970-01-01T00:00:00.000000003Z')).ackedOffset, 3n);
  assert.equal((await manager.rewind('a', 'end')).ackedOffset, 9n);
  assert.equal((await manager.rewind('a', 'start')).ackedOffset, 0n);
  workers.last.tell({ name: 'a', ackedOffset: 2n, sentItems: 7 });
  assert.equal(manager.get('a').totals.sentItems, 12, 'counts go on over runs');
  await assert.rejects(manager.rewind('a', '10'), { code: 'TREASURY_OFFSET_OUT_OF_RANGE' });
  await assert.rejects(manager.rewind('a', 'yesterday'), { code: 'TREASURY_EXPORTER_INVALID' });
  await assert.rejects(manager.rewind('x', '1'), { code: 'TREASURY_EXPORTER_UNKNOWN' });
});

test('a paused exporter stays paused over a restart', async (t) => {
  const log = await logWith(t, 3);
  const data = scratchDirectory(t);
  const first = await start(t, data, log);
  await first.manager.put('a', TARGET);
  await first.manager.pause('a');
  await first.end();
  const { manager, workers } = await start(t, data, log);
  assert.equal(manager.get('a').state, 'paused');
  assert.equal(workers.workers.length, 0);
});

test('an exporter that was paused stays so when its cursor is damaged or gone, until it is resumed', async (t) => {
  const log = await logWith(t, 5);
  const data = scratchDirectory(t);
  const cursorFile = join(data, 'cursors', 'a.json');
  const first = await start(t, data, log);
  await first.manager.put('a', { ...TARGET, from: 'start' });
  await first.manager.put('b', { ...TARGET, from: 'start' });
  await first.manager.pause('a');
  await first.end();
  for (const damage of [() => writeFileSync(cursorFile, '{"paused":false'), () => rmSync(cursorFile)]) {
    damage();
    const { manager, cursors, workers, end } = await start(t, data, log);
    assert.deepEqual([manager.get('a').state, cursors.get('a')?.status.paused], ['paused', true]);
    assert.deepEqual(started(workers), ['b']);
    await end();
  }
  const resumed = await start(t, data, log);
  await resumed.manager.resume('a');
  assert.deepEqual(started(resumed.workers), ['b', 'a']);
  await resumed.end();
  writeFileSync(cursorFile, 'damaged');
  const { workers, manager } = await start(t, data, log);
  assert.deepEqual(started(workers), ['a', 'b']);
  await manager.pause('a');
  await manager.remove('a');
  await manager.put('a', TARGET);
  assert.notEqual(manager.get('a').state, 'paused');
});

test('an exporter that an earlier release paused stays so when its cursor is damaged', async (t) => {
  const log = await logWith(t, 2);
  const data = scratchDirectory(t);
  const first = await start(t, data, log);
  await first.manager.put('a', { ...TARGET, from: 'start' });
  await first.manager.pause('a');
  await first.end();
  rmSync(join(data, 'exporters', 'a.paused'));
  await (await start(t, data, log)).end();
  writeFileSync(join(data, 'cursors', 'a.json'), '');
  assert.equal((await start(t, data, log)).manager.get('a').state, 'paused');
});

/** Exporters that a worker was told to start, in that order. */
function started({ workers }: ScriptedWorkers): string[] {
  return workers.flatMap(({ commands }) =>
    commands.flatMap((command) => (command.type === 'start' ? [command.config.name] : [])),
  );
}

test('a fork begins where its source is, and changes what it is told to', async (t) => {
  const log = await logWith(t, 9);
  const { manager, workers } = await start(t, scratchDirectory(t), log);
  await manager.put('a', { ...TARGET, from: 'start', headers: { key: SECRET_VALUE }, filter: { signals: ['logs'] } });
  workers.last.tell({ name: 'a', ackedOffset: 4n });
  const fork = await manager.fork('a', 'b', { endpoint: 'http://other:4317' });
  assert.equal(fork.ackedOffset, 4n);
  assert.deepEqual(fork.config, {
    name: 'b',
    protocol: 'otlp-grpc',
    endpoint: 'http://other:4317',
    headers: { key: '***' },
    filter: { signals: ['logs'] },
  });
  await assert.rejects(manager.fork('a', 'b'), { code: 'TREASURY_CURSOR_EXISTS' });
  await assert.rejects(manager.fork('x', 'c'), { code: 'TREASURY_EXPORTER_UNKNOWN' });
  await assert.rejects(manager.fork('a', 'C'), { code: 'TREASURY_CURSOR_NAME' });
});

test('another configuration goes on at the same place, and *** keeps the value of a header', async (t) => {
  const log = await logWith(t, 9);
  const { manager, workers } = await start(t, scratchDirectory(t), log);
  await manager.put('a', { ...TARGET, from: 'start', headers: { key: SECRET_VALUE } });
  workers.last.tell({ name: 'a', ackedOffset: 4n });
  await manager.put('a', { ...TARGET, compression: 'gzip', headers: { key: '***' } });
  const command = workers.last.commands.findLast(({ type }) => type === 'start');
  assert.ok(command?.type === 'start');
  assert.deepEqual([command.from, command.config.compression], [4n, 'gzip']);
  assert.deepEqual(command.config.headers, { key: SECRET_VALUE });
  await assert.rejects(manager.put('a', { ...TARGET, from: 'start' }), /goes on where it is/);
  await assert.rejects(manager.put('a', TARGET, { onlyNew: true }), { code: 'TREASURY_CURSOR_EXISTS' });
  await assert.rejects(manager.put('a', { ...TARGET, headers: { other: '***' } }), /must be given/);
});

test('a file that is no exporter is told with file, field and reason; the others run', async (t) => {
  const log = await logWith(t, 3);
  const data = scratchDirectory(t);
  const folder = join(data, 'exporters');
  mkdirSync(folder, { recursive: true });
  const files: readonly (readonly [string, string])[] = [
    ['good.json', JSON.stringify({ ...TARGET, from: 1 })],
    ['text.json', `{"headers": {"key": "${SECRET_VALUE}"}, oops}`],
    ['field.json', JSON.stringify({ ...TARGET, compresion: 'gzip' })],
    ['late.json', JSON.stringify({ ...TARGET, from: 99 })],
    ['Name.json', JSON.stringify(TARGET)],
    ['huge.json', ' '.repeat(LIMITS.exporterConfigBytesMax + 1)],
    ['notes.txt', 'not ours'],
  ];
  for (const [file, text] of files) writeFileSync(join(folder, file), text);
  const { manager, workers, lines } = await start(t, data, log);
  assert.deepEqual(workers.last.running, new Map([['good', 1n]]));
  const faults = new Map(manager.status().faults.map(({ file, reason }) => [file, reason]));
  assert.deepEqual([...faults.keys()].toSorted(), ['Name.json', 'field.json', 'huge.json', 'late.json', 'text.json']);
  assert.match(faults.get('field.json') ?? '', /compresion of exporter field: .*did you mean compression/);
  assert.match(faults.get('text.json') ?? '', /no JSON/);
  assert.match(faults.get('late.json') ?? '', /0 to 3 \(exclusive\)/);
  const all = JSON.stringify([...faults]) + lines.join('');
  assert.ok(!all.includes('hidden-token'), all);
  assert.throws(() => manager.get('field'), /its file cannot be used/);
  await manager.put('field', TARGET);
  assert.ok(!manager.status().faults.some(({ file }) => file === 'field.json'));
  await manager.remove('text');
  assert.ok(!readdirSync(folder).includes('text.json'));
});

test('a folder of exporters that cannot be read is told, and the server runs', async (t) => {
  const log = await logWith(t, 3);
  const data = scratchDirectory(t);
  writeFileSync(join(data, 'exporters'), 'a file in its place');
  const { manager } = await start(t, data, log);
  assert.match(manager.status().faults[0]?.reason ?? '', /Cannot read the folder of exporters: ENOTDIR/);
  await assert.rejects(manager.put('a', TARGET), { code: 'TREASURY_EXPORTER_UNWRITABLE', retryable: true });
});

test('header values are in the file alone, which only its owner can read', async (t) => {
  const log = await logWith(t, 3);
  const data = scratchDirectory(t);
  const { manager, workers, lines } = await start(t, data, log);
  await manager.put('a', { ...TARGET, headers: { authorization: SECRET_VALUE } });
  workers.last.tell({ name: 'a', state: 'failed', error: 'refused' });
  const file = join(data, 'exporters', 'a.json');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(readFileSync(file, 'utf8').includes('hidden-token'));
  const plain = (_key: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);
  const shown = JSON.stringify(manager.status(), plain) + lines.join('');
  assert.ok(shown.includes('***') && !shown.includes('hidden-token'), shown);
});

test('a flag makes an exporter, changes the one of its name and leaves its place', async (t) => {
  const log = await logWith(t, 9);
  const data = scratchDirectory(t);
  const wanted = [readExporter('a', { ...TARGET, from: 'start' })];
  const first = await start(t, data, log, { wanted });
  first.workers.last.tell({ name: 'a', ackedOffset: 4n });
  await first.end();
  const same = await start(t, data, log, { wanted });
  assert.equal(same.lines.join('').includes('as its flag says'), false);
  await same.end();
  const changed = readExporter('a', { ...TARGET, compression: 'none', headers: { key: SECRET_VALUE }, from: 'start' });
  const { manager, workers, lines, end } = await start(t, data, log, { wanted: [changed] });
  assert.match(lines.join(''), /as its flag says.*compression, headers/);
  assert.ok(!lines.join('').includes('hidden-token'));
  assert.equal(workers.last.running.get('a'), 4n);
  assert.equal(manager.get('a').config.compression, 'none');
  await end();
  const without = await start(t, data, log);
  assert.equal(without.manager.get('a').config.compression, 'none', 'without the flag it stays as it was');
});

test('a removal that a crash cut off is finished by the next start', async (t) => {
  const log = await logWith(t, 3);
  const data = scratchDirectory(t);
  const first = await start(t, data, log);
  await first.manager.put('a', TARGET);
  await first.end();
  renameSync(join(data, 'exporters', 'a.json'), join(data, 'exporters', 'a.removing'));
  const { manager, cursors } = await start(t, data, log);
  assert.equal(manager.has('a'), false);
  assert.equal(cursors.get('a'), null);
  assert.deepEqual(readdirSync(join(data, 'exporters')), []);
});

test('an exporter whose file was taken away while it ran can be removed, with its place', async (t) => {
  const log = await logWith(t, 3);
  const data = scratchDirectory(t);
  const { manager, cursors } = await start(t, data, log);
  await manager.put('a', TARGET);
  await manager.pause('a');
  rmSync(join(data, 'exporters', 'a.json'));
  await manager.remove('a');
  assert.deepEqual([manager.has('a'), cursors.get('a')], [false, null]);
  assert.deepEqual(readdirSync(join(data, 'exporters')), []);
});

test('an exporter whose cursor is damaged sends again from where it once began', async (t) => {
  const log = await logWith(t, 9);
  const data = scratchDirectory(t);
  const first = await start(t, data, log);
  await first.manager.put('a', { ...TARGET, from: '3' });
  first.workers.last.tell({ name: 'a', ackedOffset: 8n });
  await first.end();
  writeFileSync(join(data, 'cursors', 'a.json'), 'torn');
  const { workers, lines } = await start(t, data, log);
  assert.equal(workers.last.running.get('a'), 3n);
  assert.match(lines.join(''), /lost its place and sends again/);
});

test('a plain cursor keeps its name, and a removed exporter gives its own back', async (t) => {
  const log = await logWith(t, 3);
  const { manager, cursors } = await start(t, scratchDirectory(t), log);
  await cursors.create('a', { offset: 0n, policy: 'drop' });
  await assert.rejects(manager.put('a', TARGET), { code: 'TREASURY_CURSOR_EXISTS' });
  await cursors.remove('a');
  await manager.put('a', TARGET);
  await manager.remove('a');
  assert.equal(cursors.get('a'), null);
  await manager.put('a', TARGET);
});

test('what is set aside is recorded before the place passes it', async (t) => {
  const log = await logWith(t, 9);
  const data = scratchDirectory(t);
  const { manager, workers } = await start(t, data, log);
  await manager.put('a', { ...TARGET, from: 'start' });
  const entries = [{ offset: 2n, reason: 'INVALID_ARGUMENT: no', atUnixMs: 0 }];
  workers.last.emit({ type: 'set-aside', name: 'a', entries });
  workers.last.tell({ name: 'a', ackedOffset: 5n, setAsideEntries: 1 });
  assert.equal(manager.get('a').ackedOffset, 0n);
  await manager.pause('a');
  const { ackedOffset, setAside, totals } = manager.get('a');
  assert.deepEqual([ackedOffset, setAside.newest, totals.setAsideEntries], [5n, entries, 1]);
  const line = '{"offset":"2","at":"1970-01-01T00:00:00.000Z","reason":"INVALID_ARGUMENT: no"}\n';
  assert.equal(readFileSync(setAside.path, 'utf8'), line);
  writeFileSync(setAside.path, Buffer.alloc(LIMITS.setAsideFileBytesMax));
  await manager.resume('a');
  workers.last.emit({ type: 'set-aside', name: 'a', entries });
  await manager.pause('a');
  assert.equal(statSync(setAside.path).size, line.length);
  assert.equal(statSync(setAside.path.replace('.jsonl', '.1.jsonl')).size, LIMITS.setAsideFileBytesMax);
});

test('a dead worker is started again where the cursors are, until it has died too often', async (t) => {
  const log = await logWith(t, 9);
  const { manager, workers } = await start(t, scratchDirectory(t), log);
  await manager.put('a', { ...TARGET, from: 'start' });
  workers.last.tell({ name: 'a', ackedOffset: 6n, sentItems: 3 });
  for (let deaths = 1; deaths <= 3; deaths++) {
    workers.last.die('out of memory');
    await new Promise(setImmediate);
    const { state, error } = manager.get('a');
    assert.equal(state, 'retrying');
    assert.match(error ?? '', /out of memory/);
    while (workers.workers.length === deaths) await sleep(1);
    assert.equal(workers.last.running.get('a'), 6n);
  }
  workers.last.die('out of memory');
  await new Promise(setImmediate);
  assert.equal(manager.get('a').state, 'failed');
  assert.match(manager.status().down ?? '', /4 times in a row/);
  assert.equal((await manager.resume('a')).state, 'idle');
  assert.equal(manager.status().down, null);
  assert.equal(workers.last.running.get('a'), 6n);
  assert.equal(manager.get('a').totals.sentItems, 3);
});

test('a worker that does not stop an exporter is ended, and another drives the rest', async (t) => {
  const log = await logWith(t, 9);
  const { manager, workers } = await start(t, scratchDirectory(t), log);
  await manager.put('a', { ...TARGET, from: 'start' });
  await manager.put('b', { ...TARGET, from: 'start' });
  workers.last.hang();
  await manager.pause('a');
  while (workers.workers.length === 1) await sleep(1);
  assert.deepEqual(workers.last.running, new Map([['b', 0n]]));
});

test('changes that come together are made one after the other', async (t) => {
  const log = await logWith(t, 9);
  const { manager, workers, cursors } = await start(t, scratchDirectory(t), log);
  await manager.put('a', { ...TARGET, from: 'start' });
  const results = await Promise.allSettled([
    manager.rewind('a', '5'),
    manager.pause('a'),
    manager.put('a', { ...TARGET, compression: 'none' }),
    manager.resume('a'),
    manager.remove('a'),
    manager.put('a', { ...TARGET, from: '7' }),
    manager.put('a', TARGET, { onlyNew: true }),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    [...Array.from({ length: 6 }, () => 'fulfilled'), 'rejected'],
  );
  assert.deepEqual(workers.last.running, new Map([['a', 7n]]));
  assert.equal(cursors.list().length, 1);
});

test('the worker hears how far the log is durable', async (t) => {
  const log = await logWith(t, 2);
  const { manager, workers } = await start(t, scratchDirectory(t), log);
  await manager.put('a', TARGET);
  await appendTexts(log, 1);
  const last = workers.last.commands.at(-1);
  assert.ok(last?.type === 'advance');
  assert.equal(last.durable.durableOffset, 3n);
});
