import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UserProjectionStatus } from '../../../src/materialize/index.ts';
import { ENGINE_STATUS, startHttpHarness } from './harness.ts';

const ROUTES: UserProjectionStatus = {
  name: 'routes',
  version: 2,
  state: 'serving',
  description: 'routes of logs',
  materializedOffset: 4n,
  rowsWritten: 7,
  complete: false,
  targetOffset: 20n,
  quarantined: 1,
  error: 'routes.sql:1:8: no such column',
};

async function harness(t: { after(fn: () => Promise<void>): void }) {
  const found = await startHttpHarness({
    engine: {
      sql: () => Promise.reject(new Error('not asked')),
      status: () => Promise.resolve({ ...ENGINE_STATUS, userProjections: [ROUTES] }),
    },
    projectionFiles: {
      scanProjections: () =>
        Promise.resolve({
          projections: [ROUTES],
          problems: [{ file: 'routes.sql', line: 1, column: 8, message: 'routes.sql:1:8: no such column' }],
        }),
    },
  });
  t.after(() => found.listener.stop());
  return found;
}

test('POST /treasury/v1/projections looks at the files and answers with what is wrong in them', async (t) => {
  const { base } = await harness(t);
  const response = await fetch(`${base}/treasury/v1/projections`, { method: 'POST' });
  assert.equal(response.status, 200);
  const body = (await response.json()) as { projections: { lag: number }[]; problems: unknown[] };
  const [routes] = body.projections;
  const { targetOffset, ...shown } = ROUTES;
  const offsets = { materializedOffset: 4, completeAtOffset: Number(targetOffset) };
  assert.deepEqual(routes, { ...shown, ...offsets, kind: 'user', lag: routes?.lag });
  assert.deepEqual(body.problems, [
    { file: 'routes.sql', line: 1, column: 8, message: 'routes.sql:1:8: no such column' },
  ]);
});

test('status and metrics have projections of users beside those of the product', async (t) => {
  const { base } = await harness(t);
  const status = (await (await fetch(`${base}/treasury/v1/status`)).json()) as {
    durableOffset: number;
    projections: { name: string; kind: string; lag: number }[];
  };
  assert.deepEqual(
    status.projections.map(({ name, kind }) => [name, kind]),
    [
      ['logs', 'built-in'],
      ['routes', 'user'],
    ],
  );
  assert.equal(status.projections[1]?.lag, status.durableOffset - 4);
  const metrics = await (await fetch(`${base}/metrics`)).text();
  for (const line of [
    'treasury_materialized_offset{projection="routes",version="2"} 4',
    'treasury_projection_rows_total{projection="routes",version="2"} 7',
    'treasury_projection_complete{projection="routes",version="2"} 0',
    'treasury_projection_complete{projection="logs",version="1"} 1',
    'treasury_user_projection_failing{projection="routes",version="2"} 1',
  ]) {
    assert.ok(metrics.includes(line), line);
  }
});
