import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { LIMITS, silentLogger } from '../../src/base/index.ts';
import { DEADLY_REASON, openEntryAttempts } from '../../src/materialize/entry-attempts.ts';
import { createFailedRange } from '../../src/materialize/failed-range.ts';
import { createPulse, watchPulse } from '../../src/materialize/pulse.ts';

/** An engine's start on one note. What it leaves open is what its death leaves. */
function notes(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'attempts-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'attempts.json');
  const start = (processLife = 'a', logUuid = 'log') => {
    const failedRange = createFailedRange();
    const pulse = createPulse(watchPulse().memory);
    return {
      failedRange,
      ...openEntryAttempts({ file, logUuid, processLife, pulse, failedRange, logger: silentLogger }),
    };
  };
  /** Dies in the work on `offset`. */
  const die = (offset: bigint, processLife?: string) => {
    const { working } = start(processLife);
    // Whoever starts next finds the note as it is inside of the work.
    let left = '';
    working(offset, () => {
      left = readFileSync(file, 'utf8');
    });
    writeFileSync(file, left);
  };
  return { file, start, die };
}

test('entry attempts suspect the entry of one death and judge that of two deaths of the thread', (t) => {
  const { start, die } = notes(t);
  die(7n);
  const second = start();
  assert.ok(second.isSuspect(7n) && !second.isSuspect(6n));
  assert.equal(second.verdictOn(7n), undefined);
  die(7n);
  const third = start();
  assert.equal(third.verdictOn(7n), `${DEADLY_REASON} 2 times`);
  assert.equal(third.verdictOn(8n), undefined);
});

test('entry attempts suspect the entry of an end that its work outlives', (t) => {
  const { start } = notes(t);
  const first = start();
  first.working(7n, () => first.abandon());
  first.working(8n, () => {});
  first.settled(9n);
  first.close();
  assert.ok(start().isSuspect(7n));
});

test('entry attempts judge an entry after many deaths of the process, which may have come from outside', (t) => {
  const { start, die } = notes(t);
  const deaths = LIMITS.entryDeathsMax;
  for (let i = 1; i < deaths; i++) die(7n, `life ${i}`);
  assert.equal(start('next life').verdictOn(7n), undefined);
  die(7n, 'last life');
  assert.equal(start('life after').verdictOn(7n), `${DEADLY_REASON} ${deaths} times`);
});

test('entry attempts forget a suspect that was committed, and their file when they end', (t) => {
  const { file, start, die } = notes(t);
  die(7n);
  const second = start();
  second.working(7n, () => {});
  second.settled(8n);
  assert.ok(!second.isSuspect(7n));
  second.close();
  assert.ok(!existsSync(file));
  die(7n);
  assert.equal(start().verdictOn(7n), undefined);
});

test('entry attempts keep a verdict that was not committed', (t) => {
  const { start, die } = notes(t);
  die(7n);
  die(7n);
  start().close();
  assert.match(start().verdictOn(7n) ?? '', /2 times/);
});

test('entry attempts narrow the transactions behind one that was not survived', (t) => {
  const { start } = notes(t);
  start().committing([3n, 4n, 6n, 7n, 9n]);
  const second = start();
  assert.equal(second.failedRange.entriesMax, 2);
  second.committing([3n]);
  assert.ok(start().isSuspect(3n));
});

test('entry attempts do without what is of another log, torn, or not there', (t) => {
  const { file, start, die } = notes(t);
  die(7n);
  assert.ok(!start('a', 'another').isSuspect(7n));
  die(7n);
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, 50));
  assert.ok(!start().isSuspect(7n));
  const pulse = createPulse(watchPulse().memory);
  const without = openEntryAttempts({
    file: join(file, 'none'),
    logUuid: 'log',
    processLife: 'a',
    pulse,
    failedRange: createFailedRange(),
    logger: silentLogger,
  });
  assert.equal(
    without.working(1n, () => 'done'),
    'done',
  );
  without.close();
});

test('pulse shows the same work only while it lasts', () => {
  const watch = watchPulse();
  const pulse = createPulse(watch.memory);
  pulse.work(true);
  assert.deepEqual([watch.isAtSameWork(), watch.isAtSameWork()], [false, true]);
  pulse.work(true);
  assert.equal(watch.isAtSameWork(), false);
  pulse.work(false);
  assert.deepEqual([watch.isAtSameWork(), watch.isAtSameWork()], [false, false]);
  pulse.committed();
  assert.equal(watch.commits, 1);
});
