/**
 * Goal: a dead engine comes back a few times, and never takes the server with it.
 * Method: engines that die when the test says so.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../src/base/index.ts';
import type { DurablePosition } from '../../src/log/index.ts';
import { type Engine, superviseEngine } from '../../src/materialize/index.ts';

const LIMITS = { engineRestartsMax: 3, engineRestartMinMs: 1, engineRecoveredMs: 60_000 };

test('supervised engine starts a dead engine again and tells it the newest position', async () => {
  const engines = [mortal(), mortal()];
  let starts = 0;
  const supervised = await superviseEngine({
    start: () => Promise.resolve(engines[starts++]!.engine),
    logger: silentLogger,
    limits: LIMITS,
  });
  supervised.advance(position(5n));
  engines[0]!.die(new Error('crash'));
  await until(() => supervised.health().restarts === 1 && supervised.health().running);
  assert.deepEqual(engines[1]!.advanced, [5n]);
  supervised.advance(position(6n));
  assert.deepEqual(engines[1]!.advanced, [5n, 6n]);
  await supervised.stop();
  assert.deepEqual([engines[0]!.stops, engines[1]!.stops], [0, 1]);
});

test('supervised engine rejects calls while it is down, and names the reason', async () => {
  const first = mortal();
  let starts = 0;
  const supervised = await superviseEngine({
    start: () => (starts++ === 0 ? Promise.resolve(first.engine) : new Promise(() => {})),
    logger: silentLogger,
    limits: LIMITS,
  });
  first.die(new Error('out of memory'));
  await until(() => !supervised.health().running);
  assert.match(supervised.health().reason ?? '', /out of memory/);
  const unavailable = { code: 'TREASURY_ENGINE_UNAVAILABLE', retryable: true, message: /out of memory/ };
  await assert.rejects(supervised.status(), unavailable);
  const request = { query: 'SELECT 1', format: 'json', rowsMax: 1, timeoutMs: 1 } as const;
  await assert.rejects(supervised.sql(request, new AbortController().signal), unavailable);
});

test('supervised engine gives up after some deaths in a row and stays stoppable', async () => {
  const engines: ReturnType<typeof mortal>[] = [];
  const supervised = await superviseEngine({
    start: () => {
      const next = mortal();
      engines.push(next);
      return Promise.resolve(next.engine);
    },
    logger: silentLogger,
    limits: LIMITS,
  });
  for (let death = 0; death <= LIMITS.engineRestartsMax; death++) {
    await until(() => engines.length === death + 1 && supervised.health().running);
    engines[death]!.die(new Error(`death ${death}`));
  }
  assert.match((await supervised.failed).message, /death 3/);
  assert.deepEqual(supervised.health(), { running: false, restarts: 3, reason: 'death 3' });
  await supervised.stop();
});

test('supervised engine passes a failed first start on', async () => {
  const start = () => Promise.reject(new Error('no tables'));
  await assert.rejects(superviseEngine({ start, logger: silentLogger, limits: LIMITS }), /no tables/);
});

test('supervised engine stops while it waits to start again', async () => {
  const only = mortal();
  const supervised = await superviseEngine({
    start: () => Promise.resolve(only.engine),
    logger: silentLogger,
    limits: { ...LIMITS, engineRestartMinMs: 3_600_000 },
  });
  only.die(new Error('crash'));
  await until(() => !supervised.health().running);
  await supervised.stop();
  assert.equal(only.stops, 0);
});

function mortal() {
  let die!: (error: Error) => void;
  const failed = new Promise<Error>((resolve) => {
    die = resolve;
  });
  const advanced: bigint[] = [];
  const life = { engine: null as unknown as Engine, die, advanced, stops: 0, hasCommitted: false };
  life.engine = {
    failed,
    advance: ({ durableOffset }) => advanced.push(durableOffset),
    sql: () => Promise.reject(new Error('not asked')),
    status: () => Promise.reject(new Error('not asked')),
    scanProjections: () => Promise.reject(new Error('not asked')),
    rebuildProjection: () => Promise.reject(new Error('not asked')),
    cancelRebuild: () => Promise.reject(new Error('not asked')),
    hasCommitted: () => life.hasCommitted,
    stop: () => {
      life.stops++;
      return Promise.resolve();
    },
  };
  return life;
}

function position(durableOffset: bigint): DurablePosition {
  return { durableOffset, segment: 0n, segmentBytes: 0 };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
