import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/index.ts';
import type { EngineEvent } from '../../src/materialize/engine-protocol.ts';
import { createSqlRequests, type SqlRunner } from '../../src/materialize/sql-requests.ts';

const REQUEST = { query: 'SELECT 1', format: 'json', rowsMax: 1, timeoutMs: 10 } as const;

test('a query that cannot be interrupted is answered at its time limit, once, and keeps its place', async () => {
  const events: EngineEvent[] = [];
  const { resolve: answered, promise: firstAnswer } = deferred<void>();
  const ends: (() => void)[] = [];
  const runner: SqlRunner = { run: () => new Promise((resolve) => ends.push(resolve)) };
  const requests = createSqlRequests(
    () => runner,
    (event) => {
      events.push(event);
      answered();
    },
  );
  for (let id = 1; id <= LIMITS.sqlConcurrencyMax + 1; id++) requests.start(id, REQUEST);
  await firstAnswer;
  const [first] = events;
  assert.ok(first?.type === 'sql-error');
  assert.equal(first.id, 1);
  assert.equal(first.error.code, 'TREASURY_QUERY_LIMIT');
  assert.deepEqual(first.error.facts, { timeoutMs: REQUEST.timeoutMs });
  assert.deepEqual([requests.running, requests.queued], [LIMITS.sqlConcurrencyMax, 1]);

  // The thread is free again: the next query begins, and the late end is not told.
  ends[0]!();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([requests.queued, ends.length], [0, LIMITS.sqlConcurrencyMax + 1]);
  for (const end of ends) end();
  await requests.close();
  assert.equal(events.filter((event) => 'id' in event && event.id === 1).length, 1);
});

test('a cancelled query that waits leaves its place at once, and is told', async () => {
  const events: EngineEvent[] = [];
  const ends: (() => void)[] = [];
  const runner: SqlRunner = { run: () => new Promise((resolve) => ends.push(resolve)) };
  const requests = createSqlRequests(
    () => runner,
    (event) => void events.push(event),
  );
  const patient = { ...REQUEST, timeoutMs: 60_000 };
  const running = LIMITS.sqlConcurrencyMax;
  for (let id = 1; id <= running + LIMITS.sqlQueueMax; id++) requests.start(id, patient);
  assert.equal(requests.queued, LIMITS.sqlQueueMax);
  for (let id = running + 1; id <= running + LIMITS.sqlQueueMax; id++) requests.cancel(id);
  assert.deepEqual([requests.running, requests.queued], [running, 0]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(events.length, LIMITS.sqlQueueMax);
  assert.ok(events.every((event) => event.type === 'sql-error' && event.error.code === 'TREASURY_QUERY_CANCELLED'));

  // Those that run keep theirs until they have ended.
  requests.cancel(1);
  requests.start(1_000, patient);
  assert.deepEqual([requests.running, requests.queued, ends.length], [running, 1, running]);
  ends[0]!();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([requests.running, requests.queued, ends.length], [running, 0, running + 1]);
  for (const end of ends) end();
  await requests.close();
});

test('other work takes the place of a query, behind those that wait, and is not told as one', async () => {
  const ends: (() => void)[] = [];
  const runner: SqlRunner = { run: () => new Promise((resolve) => ends.push(resolve)) };
  const requests = createSqlRequests(
    () => runner,
    () => {},
  );
  const patient = { ...REQUEST, timeoutMs: 60_000 };
  for (let id = 1; id <= LIMITS.sqlConcurrencyMax; id++) requests.start(id, patient);
  const steps: string[] = [];
  const { resolve: finish, promise: finished } = deferred<void>();
  const work = requests.inTurn(async () => {
    steps.push(`after ${ends.length} queries`);
    await finished;
    throw new Error('it failed');
  });
  requests.start(3, patient);
  assert.deepEqual([requests.running, requests.queued], [LIMITS.sqlConcurrencyMax, 1]);
  ends[0]!();
  ends[1]!();
  while (steps.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(steps, [`after ${LIMITS.sqlConcurrencyMax + 1} queries`]);
  assert.deepEqual([requests.running, requests.queued], [1, 0]);
  finish();
  await assert.rejects(work, /it failed/);
  ends[2]!();
  await requests.close();
});

function deferred<Value>() {
  let resolve!: (value: Value) => void;
  const promise = new Promise<Value>((onResolve) => {
    resolve = onResolve;
  });
  return { promise, resolve };
}
