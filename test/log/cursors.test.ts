/**
 * Goal: a cursor is where it was last said to be durable, whatever happens, and holds what it needs.
 * Method: real files; a model for any order of calls and reopens; kills of a process that advances in a loop.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { createLogger, LIMITS, type Logger, silentLogger } from '../../src/base/index.ts';
import { type Cursors, openCursors, openLog, type RetainedLog } from '../../src/log/index.ts';
import { loaderFlags } from '../helpers/checkout.ts';
import { makeScratch, scratch } from './log-helpers.ts';
import { appendText, appendTexts, ONE_ENTRY_A_SEGMENT } from './retention-helpers.ts';

async function logWith(t: TestContext, entries: number): Promise<RetainedLog> {
  const log = await openLog({ directory: scratch(t), limits: ONE_ENTRY_A_SEGMENT });
  t.after(() => log.close());
  await appendTexts(log, entries);
  return log;
}

function open(directory: string, log: RetainedLog, logger: Logger = silentLogger): Promise<Cursors> {
  return openCursors({ directory, log, logger });
}

test('a cursor that is opened again is where flush left it, paused and with its policy', async (t) => {
  const log = await logWith(t, 20);
  const directory = join(scratch(t), 'cursors');
  const cursors = await open(directory, log);
  const cursor = await cursors.create('a', { offset: 3n, policy: 'hold' });
  cursor.advance(9n);
  cursor.advance(7n);
  assert.equal(cursor.status.pending, true);
  await cursor.flush();
  assert.equal(cursor.status.pending, false);
  await cursor.setPaused(true);
  const again = await open(directory, log);
  const { offset, policy, paused, createdAtUnixMs } = again.get('a')!.status;
  assert.deepEqual([offset, policy, paused], [9n, 'hold', true]);
  assert.equal(createdAtUnixMs, cursor.status.createdAtUnixMs);
  await Promise.all([cursors.close(), again.close()]);
});

test('close writes moves that were pending', async (t) => {
  const log = await logWith(t, 20);
  const directory = scratch(t);
  const cursors = await open(directory, log);
  const cursor = await cursors.create('a', { offset: 0n, policy: 'drop' });
  for (let offset = 1n; offset <= 15n; offset++) cursor.advance(offset);
  await cursors.close();
  const again = await open(directory, log);
  assert.equal(again.get('a')?.status.offset, 15n);
  await again.close();
});

test('seek goes back and forth within what is durable, and names both bounds outside', async (t) => {
  const log = await logWith(t, 10);
  const cursors = await open(scratch(t), log);
  t.after(() => cursors.close());
  const cursor = await cursors.create('a', { offset: 10n, policy: 'drop' });
  await cursor.seek(2n);
  assert.equal(cursor.status.offset, 2n);
  const refused = {
    code: 'TREASURY_OFFSET_OUT_OF_RANGE',
    facts: { requested: '11', firstOffset: '0', nextOffset: '10' },
  };
  await assert.rejects(cursor.seek(11n), refused);
  await assert.rejects(cursors.create('b', { offset: 11n, policy: 'drop' }), refused);
});

test('names are checked, and taken once', async (t) => {
  const log = await logWith(t, 1);
  const cursors = await open(scratch(t), log);
  t.after(() => cursors.close());
  for (const name of ['', '../a', 'A', '-a', 'a.b', 'a'.repeat(64), 'a/b']) {
    await assert.rejects(cursors.create(name, { offset: 0n, policy: 'drop' }), { code: 'TREASURY_CURSOR_NAME' });
  }
  await cursors.create('a', { offset: 0n, policy: 'drop' });
  await assert.rejects(cursors.create('a', { offset: 0n, policy: 'drop' }), { code: 'TREASURY_CURSOR_EXISTS' });
  await assert.rejects(cursors.fork('b', 'c'), { code: 'TREASURY_CURSOR_UNKNOWN' });
  await assert.rejects(cursors.remove('c'), { code: 'TREASURY_CURSOR_UNKNOWN' });
});

test('there are at most so many cursors', async (t) => {
  const log = await logWith(t, 1);
  const directory = scratch(t);
  const cursors = await open(directory, log);
  const options = { offset: 0n, policy: 'drop' } as const;
  await Promise.all(Array.from({ length: LIMITS.cursorsMax }, (_, i) => cursors.create(`c${i}`, options)));
  await assert.rejects(cursors.create('more', options), { code: 'TREASURY_CURSOR_LIMIT' });
  await cursors.remove('c7');
  await cursors.create('more', options);
  await cursors.close();
  const again = await open(directory, log);
  t.after(() => again.close());
  assert.equal(again.list().length, LIMITS.cursorsMax);
});

test('a removed cursor leaves neither hold nor file, and its name can be taken again', async (t) => {
  const log = await logWith(t, 5);
  const directory = scratch(t);
  const cursors = await open(directory, log);
  t.after(() => cursors.close());
  const cursor = await cursors.create('a', { offset: 1n, policy: 'hold' });
  cursor.advance(2n);
  await Promise.all([cursors.remove('a'), cursors.create('a', { offset: 4n, policy: 'drop' })]);
  cursor.advance(5n);
  assert.equal(cursors.get('a')?.status.offset, 4n);
  await cursors.remove('a');
  assert.deepEqual(readdirSync(directory), []);
  assert.deepEqual(log.status().retention.holds, []);
});

test('a cursor claims what it needs from the moment it is opened, and nothing below once that is on the disk', async (t) => {
  const directory = scratch(t);
  const log = await openLog({
    directory: scratch(t),
    limits: ONE_ENTRY_A_SEGMENT,
    retention: { ageMaxMs: null, bytesMax: 1 },
  });
  t.after(() => log.close());
  const before = await open(directory, log);
  await before.create('a', { offset: 0n, policy: 'hold' });
  await appendTexts(log, 6);
  await before.close();
  const cursors = await open(directory, log);
  t.after(() => cursors.close());
  await log.sweep();
  assert.equal(log.status().firstOffset, 0n);
  const cursor = cursors.get('a')!;
  cursor.advance(4n);
  const held = () => log.status().retention.holds.find(({ name }) => name === 'cursor/a')?.offset;
  assert.equal(held(), 0n, 'a crash would go back there');
  await log.sweep();
  assert.equal(log.status().firstOffset, 0n);
  await cursor.flush();
  assert.equal(held(), 4n);
  await log.sweep();
  assert.equal(log.status().firstOffset, 4n);
  await cursor.seek(5n);
  await cursor.setPolicy('drop');
  await appendText(log, 'one more');
  cursor.advance(6n);
  await log.sweep();
  assert.equal(log.status().firstOffset, 6n);
  assert.deepEqual(
    log.status().retention.holds.map(({ offset, passedEntries }) => [offset, passedEntries]),
    [[6n, 0n]],
  );
  await assert.rejects(cursor.seek(5n), { code: 'TREASURY_OFFSET_OUT_OF_RANGE' });
  assert.equal((await cursors.fork('b', 'a')).status.offset, 6n, 'a fork claims what there is');
});

const DAMAGES: readonly (readonly [string, (text: string) => string, RegExp])[] = [
  ['an empty file', () => '', /it is empty/],
  ['half a file', (text) => text.slice(0, text.length / 2), /it is no JSON/],
  ['another digit', (text) => text.replace('"offset":"3"', '"offset":"4"'), /check sum/],
  ['another name', (text) => text, /another cursor/],
  ['zeros', (text) => '\0'.repeat(text.length), /no JSON/],
  ['no object', () => '7', /no object/],
  ['a format to come', (text) => text.replace('"format":1', '"format":2'), /format/],
  ['much', () => ' '.repeat(5_000), /too large/],
];

for (const [what, damage, reason] of DAMAGES) {
  test(`a cursor file that holds ${what} is told and moved aside, and the others go on`, async (t) => {
    const log = await logWith(t, 10);
    const directory = scratch(t);
    const before = await open(directory, log);
    await before.create('a', { offset: 3n, policy: 'drop' });
    await before.create('b', { offset: 5n, policy: 'drop' });
    await before.close();
    const name = what === 'another name' ? 'c' : 'a';
    writeFileSync(join(directory, `${name}.json`), damage(readFileSync(join(directory, 'a.json'), 'utf8')));
    const lines: string[] = [];
    const logger = createLogger({ format: 'json', level: 'info', write: (line) => lines.push(line) });
    const cursors = await open(directory, log, logger);
    t.after(() => cursors.close());
    assert.equal(cursors.get('b')?.status.offset, 5n);
    assert.equal(cursors.get(name), null);
    assert.equal(cursors.damaged.length, 1);
    assert.equal(cursors.damaged[0]?.name, name);
    assert.match(cursors.damaged[0]?.reason ?? '', reason);
    assert.match(lines.join(''), /A cursor cannot be used/);
    assert.ok(readdirSync(directory).includes(`${name}.json.damaged`));
    await cursors.create(name, { offset: 1n, policy: 'drop' });
  });
}

test('what cannot be read as a file at all is passed by', async (t) => {
  const log = await logWith(t, 2);
  const directory = scratch(t);
  mkdirSync(join(directory, 'folder.json'));
  writeFileSync(join(directory, 'README'), 'not ours');
  writeFileSync(join(directory, '.a.json.unfinished'), 'of a process that is gone');
  writeFileSync(join(directory, 'Upper.json'), '{}');
  const cursors = await open(directory, log);
  t.after(() => cursors.close());
  assert.deepEqual(cursors.damaged.map(({ name }) => name).toSorted(), ['Upper', 'folder']);
  assert.deepEqual(readdirSync(directory).toSorted(), ['README', 'Upper.json.damaged', 'folder.json.damaged']);
});

test('a cursor of another log is moved aside, and one ahead of its log is put at its end', async (t) => {
  const directory = scratch(t);
  const other = await open(directory, await logWith(t, 3));
  await other.create('a', { offset: 2n, policy: 'drop' });
  await other.close();
  const log = await logWith(t, 4);
  const cursors = await open(directory, log);
  assert.match(cursors.damaged[0]?.reason ?? '', /another log/);
  await cursors.create('b', { offset: 4n, policy: 'drop' });
  await cursors.close();
  const shorter = { hold: log.hold.bind(log), status: () => ({ ...log.status(), durableOffset: 3n }) };
  const again = await openCursors({ directory, log: shorter });
  t.after(() => again.close());
  assert.equal(again.get('b')?.status.offset, 3n);
});

test('a cursor that cannot be written says so, lets retention go on, and is written when it can be', async (t) => {
  const log = await logWith(t, 8);
  const directory = scratch(t);
  const cursors = await open(directory, log);
  t.after(() => cursors.close());
  const cursor = await cursors.create('a', { offset: 0n, policy: 'hold' });
  mkdirSync(join(directory, '.a.json.unfinished'));
  cursor.advance(5n);
  await assert.rejects(cursor.flush(), { code: 'TREASURY_CURSOR_UNWRITABLE', retryable: true });
  assert.match(cursor.status.failing ?? '', /EISDIR/);
  assert.equal(cursor.status.pending, true);
  assert.equal(log.status().retention.holds[0]?.offset, 5n);
  await assert.rejects(cursors.create('b/', { offset: 0n, policy: 'drop' }), { code: 'TREASURY_CURSOR_NAME' });
  rmdirSync(join(directory, '.a.json.unfinished'));
  await cursor.flush();
  assert.deepEqual([cursor.status.failing, cursor.status.pending], [null, false]);
});

type Step =
  | { readonly do: 'create' | 'advance' | 'seek'; readonly name: string; readonly offset: bigint }
  | { readonly do: 'pause' | 'resume' | 'remove' | 'flush'; readonly name: string }
  | { readonly do: 'fork'; readonly name: string; readonly from: string }
  | { readonly do: 'reopen' };

const NAMES = fc.constantFrom('a', 'b', 'c');
const OFFSETS = fc.bigInt({ min: 0n, max: 7n });
const STEPS: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom('create' as const, 'advance' as const, 'seek' as const),
    name: NAMES,
    offset: OFFSETS,
  }),
  fc.record({
    do: fc.constantFrom('pause' as const, 'resume' as const, 'remove' as const, 'flush' as const),
    name: NAMES,
  }),
  fc.record({ do: fc.constant('fork' as const), name: NAMES, from: NAMES }),
  fc.record({ do: fc.constant('reopen' as const) }),
);

interface Model {
  offset: bigint;
  paused: boolean;
}

/** What the step does to the model; the code of the error that it gives, or null. */
function applyToModel(model: Map<string, Model>, step: Step): string | null {
  if (step.do === 'reopen') return null;
  const cursor = model.get(step.name);
  if (step.do === 'create') {
    if (cursor !== undefined) return 'TREASURY_CURSOR_EXISTS';
    if (step.offset > 5n) return 'TREASURY_OFFSET_OUT_OF_RANGE';
    model.set(step.name, { offset: step.offset, paused: false });
    return null;
  }
  if (step.do === 'fork') {
    const from = model.get(step.from);
    if (from === undefined) return 'TREASURY_CURSOR_UNKNOWN';
    if (cursor !== undefined) return 'TREASURY_CURSOR_EXISTS';
    model.set(step.name, { offset: from.offset, paused: false });
    return null;
  }
  if (cursor === undefined) return step.do === 'remove' ? 'TREASURY_CURSOR_UNKNOWN' : null;
  if (step.do === 'remove') model.delete(step.name);
  if (step.do === 'pause' || step.do === 'resume') cursor.paused = step.do === 'pause';
  if (step.do === 'seek' && step.offset > 5n) return 'TREASURY_OFFSET_OUT_OF_RANGE';
  if (step.do === 'seek') cursor.offset = step.offset;
  if (step.do === 'advance' && step.offset > cursor.offset && step.offset <= 5n) cursor.offset = step.offset;
  return null;
}

async function applyToCursors(cursors: Cursors, step: Step): Promise<void> {
  if (step.do === 'reopen') return;
  const cursor = cursors.get(step.name);
  if (step.do === 'create') await cursors.create(step.name, { offset: step.offset, policy: 'drop' });
  else if (step.do === 'fork') await cursors.fork(step.name, step.from);
  else if (step.do === 'remove') await cursors.remove(step.name);
  else if (step.do === 'seek') await cursor?.seek(step.offset);
  else if (step.do === 'flush') await cursor?.flush();
  else if (step.do === 'advance') cursor?.advance(step.offset <= 5n ? step.offset : 0n);
  else await cursor?.setPaused(step.do === 'pause');
}

test('cursors are what a model says after any calls and reopens', async (t) => {
  const log = await logWith(t, 5);
  await fc.assert(
    fc.asyncProperty(fc.array(STEPS, { maxLength: 25 }), async (steps) => {
      const directory = makeScratch();
      t.after(() => rm(directory, { recursive: true, force: true }));
      const model = new Map<string, Model>();
      let cursors = await open(directory, log);
      for (const step of steps) {
        const code = applyToModel(model, step);
        if (code === null) await applyToCursors(cursors, step);
        else await assert.rejects(applyToCursors(cursors, step), { code });
        if (step.do === 'reopen') {
          await cursors.close();
          cursors = await open(directory, log);
          assert.deepEqual(cursors.damaged, []);
        }
        const found = cursors.list().map(({ name, offset, paused }) => [name, { offset, paused }] as const);
        assert.deepEqual(new Map(found), model);
      }
      await cursors.close();
      assert.deepEqual(log.status().retention.holds, []);
    }),
    { numRuns: 25 },
  );
});

test('what flush resolved is there after kill -9', async (t) => {
  const child = fileURLToPath(new URL('cursor-child.ts', import.meta.url));
  const data = scratch(t);
  for (let round = 0; round < 3; round++) {
    const process_ = spawn(process.execPath, [...loaderFlags, child, data], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(process_, 'exit');
    const flushed = new Map<string, bigint>();
    let lines = 0;
    for await (const line of createInterface({ input: process_.stdout })) {
      const [name, offset] = line.split(' ') as [string, string];
      flushed.set(name, BigInt(offset));
      // At some moment between two syncs.
      if (++lines === 20 + 13 * round) setTimeout(() => process_.kill('SIGKILL'), round);
    }
    await ended;
    const log = await openLog({ directory: join(data, 'log') });
    const cursors = await open(join(data, 'cursors'), log);
    assert.deepEqual(cursors.damaged, []);
    for (const [name, offset] of flushed) {
      const found = cursors.get(name)?.status.offset;
      assert.ok(found !== undefined && found >= offset, `${name} is at ${found}, and was durable at ${offset}`);
    }
    await cursors.close();
    await log.close();
  }
});
