/**
 * Goal: evaluations share memory, wait for each other, and fail only when waiting would not end.
 * Method: leases of one budget in chosen orders; then whole evaluations over series in memory that ask for more than there is.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { evaluate } from '../../../../src/api/query/promql/evaluate.ts';
import { Labels } from '../../../../src/api/query/promql/labels.ts';
import { MemoryBudget } from '../../../../src/api/query/promql/memory-budget.ts';
import { STABLE_SYNTAX } from '../../../../src/api/query/promql/parse-options.ts';
import { parseExpression } from '../../../../src/api/query/promql/parser.ts';
import type { SampleSource } from '../../../../src/api/query/promql/source.ts';
import { LIMITS, TreasuryError } from '../../../../src/base/index.ts';

const NEVER = new AbortController().signal;
const TOO_MANY = 'query processing would load too many samples into memory in query execution';

function isTooMany(error: unknown): boolean {
  return error instanceof TreasuryError && error.code === 'TREASURY_QUERY_LIMIT' && error.message === TOO_MANY;
}

/** Lets everything go on that can. */
async function settle(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

test('a lease that finds no memory waits until another is closed', async () => {
  const budget = new MemoryBudget(100);
  const [first, second] = [budget.open(), budget.open()];
  await first.read(80, NEVER);
  let isDone = false;
  const waiting = second.read(30, NEVER).then(() => (isDone = true));
  await settle();
  assert.equal(isDone, false);
  first.close();
  await waiting;
  assert.equal(budget.usedBytes, 30);
  second.close();
  assert.equal(budget.usedBytes, 0);
});

test('a lease that alone wants more than all fails', async () => {
  const budget = new MemoryBudget(100);
  const lease = budget.open();
  budget.open();
  await lease.read(60, NEVER);
  await assert.rejects(lease.read(60, NEVER), isTooMany);
  assert.equal(budget.usedBytes, 60);
});

test('of leases that would wait for each other the last fails, and the others go on', async () => {
  const budget = new MemoryBudget(100);
  const leases = [budget.open(), budget.open(), budget.open()];
  for (const lease of leases) await lease.read(30, NEVER);
  const first = leases[0]!.read(30, NEVER);
  const second = leases[1]!.read(30, NEVER);
  await assert.rejects(leases[2]!.read(30, NEVER), isTooMany);
  leases[2]!.close();
  // 30 bytes came free: one has them, and the other waits for that one.
  await first;
  await settle();
  leases[0]!.close();
  await second;
  assert.equal(budget.usedBytes, 60);
  leases[1]!.close();
  assert.equal(budget.usedBytes, 0);
});

test('a lease that waits ends with its signal', async () => {
  const budget = new MemoryBudget(100);
  const [first, second] = [budget.open(), budget.open()];
  await first.read(80, NEVER);
  const abort = new AbortController();
  const waiting = second.read(30, abort.signal);
  abort.abort(new Error('canceled'));
  await assert.rejects(waiting, /canceled/);
  second.close();
  first.close();
  assert.equal(budget.usedBytes, 0);
});

test('of leases whose answers take all places of the store the last fails when another waits for one, and the others go on', async () => {
  const budget = new MemoryBudget(100, 1);
  const leases = Array.from({ length: LIMITS.sqlConcurrencyMax }, () => budget.open());
  const asking = budget.open();
  await asking.read(90, NEVER);
  const waiting = leases.map((lease) => lease.read(20, NEVER));
  // The store gives its answer when one of them lets go of its place.
  asking.asks();
  await assert.rejects(waiting.at(-1)!, isTooMany);
  leases.at(-1)!.close();
  asking.answered();
  asking.close();
  await Promise.all(waiting.slice(0, -1));
  assert.equal(budget.usedBytes, 20 * (leases.length - 1));
  for (const lease of leases) lease.close();
  assert.equal(budget.usedBytes, 0);
});

test('a lease waits for one that waits for the store while the store has places', async () => {
  const budget = new MemoryBudget(100, 1);
  const [asking, lease] = [budget.open(), budget.open()];
  await asking.read(90, NEVER);
  asking.asks();
  while (!asking.isHeldUp) await sleep(1);
  const waiting = lease.read(20, NEVER);
  await settle();
  asking.close();
  await waiting;
  lease.close();
  assert.equal(budget.usedBytes, 0);
});

test('cells that find no memory fail at once, and fewer give theirs back', () => {
  const budget = new MemoryBudget(100);
  const [first, second] = [budget.open(), budget.open()];
  first.holdCells(80);
  assert.throws(() => second.holdCells(30), isTooMany);
  first.holdCells(10);
  second.holdCells(30);
  assert.equal(budget.usedBytes, 40);
});

const SAMPLES = 1000;
const SAMPLE_BYTES = 16;

/** Counts what is read as the view of stored metrics does, in pieces, with others at work between them. */
const source: SampleSource = {
  async select({ memory }, signal) {
    for (let piece = 0; piece < 10; piece++) {
      await memory?.read((SAMPLES / 10) * SAMPLE_BYTES, signal);
      await settle();
    }
    const timesMs = Float64Array.from({ length: SAMPLES }, (_, at) => 1000 * at);
    const histograms = { timesMs: new Float64Array(0), values: [] };
    return [{ labels: Labels.of([['__name__', 'm']]), floats: { timesMs, values: timesMs }, histograms }];
  },
};

const SETTINGS = {
  lookbackMs: 300_000,
  subqueryStepMs: 60_000,
  samplesMax: 1_000_000,
  delayedNameRemoval: false,
  typeAndUnitLabels: false,
  startTimestamps: false,
};

function run(text: string, memory: MemoryBudget): Promise<unknown> {
  const expression = parseExpression(text, STABLE_SYNTAX);
  const request = { expression, text, startMs: 0, endMs: 900_000, stepMs: 60_000, settings: SETTINGS, memory };
  return evaluate(request, source, new AbortController().signal);
}

test('twenty evaluations at once over memory for three all end, each answered or with the error of the limit', async () => {
  const memory = new MemoryBudget(3 * SAMPLES * SAMPLE_BYTES + 20 * 1024);
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => run('sum(rate(m[5m]))', memory)));
  const failed = results.filter((result) => result.status === 'rejected');
  for (const { reason } of failed) assert.ok(isTooMany(reason), String(reason));
  assert.ok(failed.length < 20, 'some are answered');
  assert.equal(memory.usedBytes, 0);
});

test('an evaluation that needs its samples one after the other needs memory for them once', async () => {
  const memory = new MemoryBudget(1.5 * SAMPLES * SAMPLE_BYTES);
  await run('rate(m[5m]) + m + rate(m[1m])', memory);
  assert.equal(memory.usedBytes, 0);
});

test('an evaluation larger than the memory of all fails and gives back what it had', async () => {
  const memory = new MemoryBudget(0.5 * SAMPLES * SAMPLE_BYTES);
  await assert.rejects(run('rate(m[5m])', memory), isTooMany);
  assert.equal(memory.usedBytes, 0);
});
