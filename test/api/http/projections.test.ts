import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TreasuryError } from '../../../src/base/index.ts';
import type { EngineStatus } from '../../../src/materialize/index.ts';
import { chunksOf, ENGINE_STATUS, startHttpHarness } from './harness.ts';

const BUILDING: EngineStatus = {
  ...ENGINE_STATUS,
  complete: false,
  projections: [
    {
      ...ENGINE_STATUS.projections[0]!,
      complete: false,
      targetOffset: 8n,
      building: {
        version: 1,
        kind: 'rebuild',
        fromOffset: 1n,
        offset: 4n,
        targetOffset: 8n,
        entriesPerSecond: 2.5,
        estimatedEndMs: 1600,
        rowsWritten: 40,
        stuck: 'The build waits for free disk: none is free',
        waiting: 'disk',
        retryAtUnixMs: 2000,
      },
      lastSwitch: {
        name: 'logs',
        version: 1,
        fromVersion: 1,
        atUnixMs: 0,
        offset: 3n,
        tables: { logs: { result: 'equal', rowsBefore: 5, rows: 5 } },
      },
    },
  ],
};

async function startBuilding(t: { after(fn: () => unknown): void }, calls: string[] = []) {
  const status = () => Promise.resolve(BUILDING);
  const order = (what: string) => (name: string) => {
    calls.push(`${what} ${name}`);
    if (name === 'logs') return Promise.resolve();
    if (name === 'metrics') {
      return Promise.reject(new TreasuryError('TREASURY_DISK_FULL', 'Cannot rebuild metrics: 1 MB are free'));
    }
    return Promise.reject(
      new TreasuryError('TREASURY_PROJECTION_UNKNOWN', `Cannot find the projection: its name is ${name}`),
    );
  };
  const incomplete = [
    { projection: 'logs', from: 0n, to: 5n, of: 8n },
    { projection: '_errors', from: 0n, to: 2n, of: 8n },
  ];
  const { listener } = await startHttpHarness({
    engine: { status, sql: () => Promise.resolve({ chunks: chunksOf('{}'), incomplete }) },
    rebuilds: { status, rebuildProjection: order('rebuild'), cancelRebuild: order('cancel') },
  });
  t.after(() => listener.stop());
  return `http://${listener.address}`;
}

test('projections are listed with their builds and the last switch', async (t) => {
  const base = await startBuilding(t);
  const { projections } = (await (await fetch(`${base}/treasury/v1/projections`)).json()) as {
    projections: Record<string, unknown>[];
  };
  const [logs] = projections;
  assert.equal(logs?.['completeAtOffset'], 8);
  assert.deepEqual(logs?.['building'], {
    version: 1,
    kind: 'rebuild',
    fromOffset: 1,
    offset: 4,
    targetOffset: 8,
    entriesPerSecond: 2.5,
    estimatedEndMs: 1600,
    rowsWritten: 40,
    stuck: 'The build waits for free disk: none is free',
    waiting: 'disk',
    retryAt: '1970-01-01T00:00:02.000Z',
  });
  assert.deepEqual(logs?.['lastSwitch'], {
    version: 1,
    fromVersion: 1,
    at: '1970-01-01T00:00:00.000Z',
    offset: 3,
    tables: { logs: { result: 'equal', rowsBefore: 5, rows: 5 } },
  });
});

test('rebuilds are begun and cancelled by name, and refused as the engine says', async (t) => {
  const calls: string[] = [];
  const base = await startBuilding(t, calls);
  const begun = await fetch(`${base}/treasury/v1/projections/logs/rebuild`, { method: 'POST' });
  assert.equal(begun.status, 202);
  assert.equal(((await begun.json()) as { name: string }).name, 'logs');
  const cancelled = await fetch(`${base}/treasury/v1/projections/logs/rebuild`, { method: 'DELETE' });
  assert.equal(cancelled.status, 202);
  const unknown = await fetch(`${base}/treasury/v1/projections/a%20b/rebuild`, { method: 'POST' });
  assert.equal(unknown.status, 404);
  assert.match(await unknown.text(), /TREASURY_PROJECTION_UNKNOWN.*its name is a b/);
  const full = await fetch(`${base}/treasury/v1/projections/metrics/rebuild`, { method: 'POST' });
  assert.equal(full.status, 507);
  assert.deepEqual(await full.json(), {
    error: { code: 'TREASURY_DISK_FULL', message: 'Cannot rebuild metrics: 1 MB are free' },
  });
  assert.deepEqual(calls, ['rebuild logs', 'cancel logs', 'rebuild a b', 'rebuild metrics']);
});

test('answers of tables that are still being built say what they lack, and health stays green', async (t) => {
  const base = await startBuilding(t);
  const answer = await fetch(`${base}/treasury/v1/sql`, { method: 'POST', body: 'SELECT 1' });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('x-treasury-incomplete'), 'logs;from=0;to=5;of=8, "_errors";from=0;to=2;of=8');
  const ready = await fetch(`${base}/readyz`);
  assert.equal(ready.status, 200);
  assert.match(await ready.text(), /Tables are being built from the log/);
});

test('metrics show builds while there are some', async (t) => {
  const base = await startBuilding(t);
  const text = await (await fetch(`${base}/metrics`)).text();
  assert.match(text, /^treasury_projection_build_offset\{projection="logs",version="1"\} 4$/m);
  assert.match(text, /^treasury_projection_build_target_offset\{projection="logs",version="1"\} 8$/m);
  assert.match(text, /^treasury_projection_build_entries_per_second\{projection="logs",version="1"\} 2\.5$/m);
  assert.match(text, /^treasury_projection_build_waiting\{projection="logs",version="1",for="disk"\} 1$/m);
  assert.match(text, /^treasury_projection_build_waiting\{projection="logs",version="1",for="retry"\} 0$/m);
  assert.match(text, /^treasury_projection_build_left_seconds\{projection="logs",version="1"\} 1\.6$/m);
  assert.match(text, /^treasury_projection_complete\{projection="logs",version="1"\} 0$/m);
});
