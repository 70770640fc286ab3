import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import type { CanonicalBatch } from '../../src/otap/index.ts';
import {
  brokenReferences,
  namedLogs,
  namedSamples,
  namedSpans,
  visibleNames,
  visibleRows,
} from '../helpers/retained-batches.ts';
import { MINUTE, openRetainedTables, type RetainedTables, START, type TestEntry } from '../helpers/retained-tables.ts';
import { logsBatch, metricsBatch, tracesBatch } from './projections/rows.ts';

const AGE_MS = 3_600_000;
const HOUR = 60n * MINUTE;
const NOTHING_BROKEN = { dangling: [], unreferenced: [] };

const directory = await mkdtemp(join(tmpdir(), 'table-retention-'));
after(() => rm(directory, { recursive: true }));
let files = 0;

function newFile(): string {
  return join(directory, `${++files}.duckdb`);
}

async function openTables(
  t: TestContext,
  options: Partial<Parameters<typeof openRetainedTables>[1]> = {},
  file = newFile(),
): Promise<RetainedTables> {
  const tables = await openRetainedTables(file, { ageMs: AGE_MS, ...options });
  t.after(() => tables.close());
  return tables;
}

function entry(offset: number, receivedAtUnixNano: bigint, batch: CanonicalBatch): TestEntry {
  return { offset: BigInt(offset), receivedAtUnixNano, batch };
}

async function counts(tables: RetainedTables, ...names: string[]): Promise<number[]> {
  const found: number[] = [];
  for (const name of names) {
    found.push(Number((await tables.rows(`SELECT count(*) AS n FROM store.${name}`))[0]!['n']));
  }
  return found;
}

test('table retention takes the rows of every signal whose time is older than the age', async (t) => {
  const tables = await openTables(t);
  const old = START - HOUR - 1n;
  const young = START - HOUR + 10n * MINUTE;
  const both = [
    { name: 'old', time: old },
    { name: 'young', time: young },
  ];
  await tables.commit([
    entry(1, START, namedLogs('a', both)),
    entry(2, START, namedSpans('a', both)),
    entry(3, START, namedSamples('a', both)),
  ]);
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), ['log young', 'sample young', 'span young']);
  assert.deepEqual(await counts(tables, 'exemplars_v1', 'series_v1'), [1, 1]);
  assert.deepEqual(await brokenReferences(tables), NOTHING_BROKEN);
  const { rowsDeleted, runs, failing, oldestUnixMs } = tables.figures;
  assert.deepEqual(rowsDeleted, { logs: 1, spans: 1, exemplars: 1, samples: 1, series: 1, series_numbers: 1 });
  assert.equal(runs, 1);
  assert.equal(failing, null);
  assert.equal(oldestUnixMs['logs'], Number(young / 1_000_000n));
  assert.equal(oldestUnixMs['samples'], Number(young / 1_000_000n));
  assert.equal(oldestUnixMs['histograms'], null);
});

test('table retention keeps a row that is as old as the limit to the nanosecond', async (t) => {
  const tables = await openTables(t);
  await tables.commit([entry(1, START, namedLogs('a', [{ name: 'at', time: START - HOUR }]))]);
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), ['log at']);
});

test('table retention keeps rows for ever when no age is set', async (t) => {
  const tables = await openTables(t, { ageMs: null });
  await tables.commit([entry(1, START, namedLogs('a', [{ name: 'old', time: 1n }]))]);
  tables.now += 10_000n * HOUR;
  await tables.step();
  assert.deepEqual(await visibleNames(tables), ['log old']);
});

test('table retention keeps a span that lasts over the limit until its end is older', async (t) => {
  const tables = await openTables(t);
  await tables.commit([
    entry(1, START, namedSpans('a', [{ name: 'long', start: START - 3n * HOUR, time: START - HOUR + 10n * MINUTE }])),
  ]);
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), ['span long']);
  tables.now = START + 11n * MINUTE;
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), []);
});

test('table retention takes logs without a time by their observed time', async (t) => {
  const tables = await openTables(t);
  const logs = [START - HOUR - 1n, START].map((observed_time_unix_nano, id) => ({ id, observed_time_unix_nano }));
  await tables.commit([entry(1, START, logsBatch({ logs }))]);
  await tables.retain();
  assert.deepEqual(await counts(tables, 'logs_v1'), [1]);
});

test('table retention takes rows without a time, of the future and beyond the range an age after their receipt', async (t) => {
  const tables = await openTables(t);
  const rows = [
    { name: 'none', time: 0n },
    { name: 'future', time: START + 1_000n * HOUR },
    { name: 'wrapped', time: -1n },
  ];
  await tables.commit([entry(1, START, namedLogs('a', rows)), entry(2, START, namedSamples('a', rows))]);
  await tables.retain();
  assert.equal((await visibleNames(tables)).length, 6, 'such rows must not go at once');
  await tables.commit([entry(3, START + 30n * MINUTE, namedLogs('b', [{ name: 'later', time: 0n }]))]);
  tables.now = START + HOUR + MINUTE + 1n;
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), ['log later'], 'such rows must not stay for ever');
  tables.now = START + 2n * HOUR;
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), []);
  assert.deepEqual(await brokenReferences(tables), NOTHING_BROKEN);
});

test('table retention takes what has no time of its own with its entry', async (t) => {
  const tables = await openTables(t);
  const orphan = { parent_id: 9, key: 'k', type: 1, str: 'v' };
  await tables.commit([
    entry(1, START, logsBatch({ logs: [{ id: 0, time_unix_nano: START }], log_attrs: [orphan] })),
    entry(
      2,
      START,
      tracesBatch({
        spans: [{ id: 0, start_time_unix_nano: START, name: 'x' }],
        span_events: [{ id: 0, parent_id: 8, time_unix_nano: START, name: 'orphan' }],
        span_links: [{ id: 0, parent_id: 8 }],
      }),
    ),
    entry(3, START, metricsBatch({ univariate_metrics: [{ id: 0, metric_type: 1, name: 'without points' }] })),
    entry(4, START, namedSamples('a', [{ name: 'x', time: START }])),
  ]);
  const names =
    'logs_v1 logs_orphan_attrs_v1 spans_orphan_events_v1 spans_orphan_links_v1 metrics_v1 metrics_batch_resources_v1'.split(
      ' ',
    );
  await tables.retain();
  assert.deepEqual(await counts(tables, ...names), [1, 1, 1, 1, 2, 1]);
  tables.now = START + 2n * HOUR;
  await tables.retain();
  assert.deepEqual(await counts(tables, ...names), [0, 0, 0, 0, 0, 0]);
});

test('table retention lets a resource, scope or series come back after its row is gone', async (t) => {
  const tables = await openTables(t);
  const batches = (time: bigint) => [namedLogs('a', [{ name: 'x', time }]), namedSamples('a', [{ name: 'x', time }])];
  await tables.commit(batches(START).map((batch, i) => entry(i, START, batch)));
  tables.now = START + 2n * HOUR;
  await tables.retain();
  assert.deepEqual(await counts(tables, 'series_v1', 'logs_resources_v1', 'metrics_scopes_v1'), [0, 0, 0]);
  await tables.commit(batches(tables.now).map((batch, i) => entry(10 + i, tables.now, batch)));
  assert.deepEqual(await visibleNames(tables), ['log x', 'sample x']);
  assert.deepEqual(await brokenReferences(tables), NOTHING_BROKEN);
});

test('a series whose number has gone with its points comes back after a restart, beside one that got the number', async (t) => {
  const file = newFile();
  const tables = await openRetainedTables(file, { ageMs: AGE_MS });
  const samples = (name: string, time: bigint) => namedSamples('a', [{ name, time }]);
  await tables.commit([entry(1, START, samples('x', START))]);
  tables.now = START + 2n * HOUR;
  await tables.retain();
  assert.deepEqual(await counts(tables, 'series_v1', 'series_numbers_v1'), [0, 0]);
  await tables.close();
  const again = await openTables(t, { nextOffset: 2n, now: START + 2n * HOUR }, file);
  await again.commit([entry(2, again.now, samples('y', again.now)), entry(3, again.now, samples('x', again.now))]);
  assert.deepEqual(await visibleNames(again), ['sample x', 'sample y']);
  assert.deepEqual(await counts(again, 'series_v1', 'series_numbers_v1'), [2, 2]);
  again.now += 2n * HOUR;
  await again.commit([entry(4, again.now, samples('y', again.now))]);
  await again.retain();
  assert.deepEqual(await counts(again, 'series_v1', 'series_numbers_v1'), [1, 1]);
  await again.commit([entry(5, again.now, samples('x', again.now))]);
  assert.deepEqual(await visibleNames(again), ['sample x', 'sample y']);
  assert.deepEqual(await brokenReferences(again), NOTHING_BROKEN);
});

test('an exemplar that is younger than its point keeps the series of both', async (t) => {
  const tables = await openTables(t);
  tables.now = START + 2n * HOUR;
  const young = tables.now - MINUTE;
  const batch = metricsBatch({
    univariate_metrics: [{ id: 0, metric_type: 1, name: 'gauge' }],
    number_data_points: [{ id: 0, parent_id: 0, time_unix_nano: START, double_value: 1 }],
    number_dp_exemplars: [{ id: 0, parent_id: 0, time_unix_nano: young, double_value: 1 }],
  });
  await tables.commit([entry(1, young, batch)]);
  await tables.retain();
  assert.deepEqual(await counts(tables, 'samples_v1', 'exemplars_v1', 'series_v1', 'series_numbers_v1'), [0, 1, 1, 1]);
  assert.deepEqual(await tables.rows('SELECT metric_name FROM exemplars JOIN series USING (series_id)'), [
    { metric_name: 'gauge' },
  ]);
  tables.now += 2n * HOUR;
  await tables.retain();
  assert.deepEqual(await counts(tables, 'exemplars_v1', 'series_v1', 'series_numbers_v1'), [0, 0, 0]);
});

test('table retention keeps what a batch refers to that is committed between any two of its slices', async (t) => {
  const tables = await openTables(t, { limits: { retentionScanRowsMax: 1, retentionSliceRowsMax: 1 } });
  const batches = (at: bigint) =>
    [namedLogs, namedSamples].map((batch, i) =>
      entry(Number((at - START) / MINUTE) + i, at, batch('a', [{ name: 'x', time: at }])),
    );
  for (let slices = 0; ; slices += 5) {
    await tables.commit(batches(tables.now));
    tables.now += 2n * HOUR;
    const { runs } = tables.figures;
    for (let i = 0; i < slices; i++) await tables.step();
    const isOver = tables.figures.runs > runs;
    await tables.commit(batches(tables.now));
    while (tables.figures.runs === runs) await tables.step();
    assert.deepEqual(await visibleNames(tables), ['log x', 'sample x'], `after ${slices} slices`);
    assert.deepEqual((await brokenReferences(tables)).dangling, [], `after ${slices} slices`);
    tables.now += 2n * HOUR;
    await tables.retain();
    assert.deepEqual(await counts(tables, 'series_v1'), [0]);
    if (isOver) {
      assert.ok(slices > 50, 'a run has too few slices to mean something');
      return;
    }
  }
});

test('table retention finds resources that nothing refers to and that a killed run has left', async (t) => {
  const file = newFile();
  const tables = await openRetainedTables(file, { ageMs: AGE_MS });
  await tables.commit([entry(1, START, namedSamples('a', [{ name: 'x', time: START }]))]);
  tables.now = START + 2n * HOUR;
  while ((await counts(tables, 'samples_v1', 'metrics_batch_scopes_v1')).some((count) => count > 0))
    await tables.step();
  assert.deepEqual(await counts(tables, 'series_v1'), [1]);
  await tables.close();
  const again = await openTables(t, { nextOffset: 2n, now: START + 2n * HOUR }, file);
  await again.retain();
  assert.deepEqual(await counts(again, 'series_v1', 'metrics_resources_v1', 'metrics_scopes_v1'), [0, 0, 0]);
});

test('table retention remembers receipts over a restart and not those of a transaction that was taken back', async (t) => {
  const file = newFile();
  const tables = await openRetainedTables(file, { ageMs: AGE_MS });
  const undated = (offset: number, at: bigint) => entry(offset, at, namedLogs('a', [{ name: `${offset}`, time: 0n }]));
  await tables.commit([undated(1, START)]);
  await tables.rollBack([undated(2, START + 40n * MINUTE)]);
  await tables.commit([undated(2, START + 40n * MINUTE)]);
  await tables.close();
  const again = await openTables(t, { nextOffset: 3n, now: START + HOUR + 10n * MINUTE }, file);
  await again.retain();
  assert.deepEqual(await visibleNames(again), ['log 2']);
  again.now = START + HOUR + 45n * MINUTE;
  await again.retain();
  assert.deepEqual(await visibleNames(again), []);
});

test('table retention gives rows of tables that know no receipts the age of the first one known', async (t) => {
  const tables = await openTables(t);
  await tables.commit([entry(1, START, namedLogs('a', [{ name: 'before', time: 0n }]))]);
  await tables.store.run('DELETE FROM meta.received_minutes');
  await tables.commit([
    entry(2, START + 30n * MINUTE, namedLogs('a', [{ name: 'after', time: START + 30n * MINUTE }])),
  ]);
  tables.now = START + HOUR + 10n * MINUTE;
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), ['log after', 'log before']);
  await tables.commit([
    entry(3, START + HOUR + 40n * MINUTE, namedLogs('a', [{ name: 'last', time: START + 2n * HOUR }])),
  ]);
  tables.now = START + HOUR + 45n * MINUTE;
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), ['log last']);
});

test('table retention does not take the time of a clock that was not set for the receipt', async (t) => {
  const tables = await openTables(t);
  await tables.commit([entry(1, 5n * MINUTE, namedLogs('a', [{ name: 'at boot', time: START }]))]);
  await tables.commit([entry(2, START, namedLogs('a', [{ name: 'synchronized', time: START }]))]);
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), ['log at boot', 'log synchronized']);
});

test('table retention recovers from receipts of a clock that ran ahead', async (t) => {
  const tables = await openTables(t);
  await tables.commit([entry(1, START, namedLogs('a', [{ name: 'right', time: 0n }]))]);
  await tables.commit([entry(2, START + 9_000n * HOUR, namedLogs('a', [{ name: 'ahead', time: 0n }]))]);
  await tables.retain();
  await tables.commit([entry(3, START + MINUTE, namedLogs('a', [{ name: 'right again', time: 0n }]))]);
  await tables.retain();
  assert.equal((await visibleNames(tables)).length, 3);
  tables.now = START + 2n * HOUR;
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), []);
});

test('table retention takes nothing too soon when the clock goes back and forth', async (t) => {
  const tables = await openTables(t);
  const rows = (name: string) => namedLogs('a', [{ name, time: 0n }]);
  await tables.commit([entry(1, START, rows('first'))]);
  await tables.commit([entry(2, START + 50n * MINUTE, rows('second'))]);
  tables.now = START + 10n * MINUTE;
  await tables.retain();
  await tables.commit([entry(3, START + 10n * MINUTE, rows('set back'))]);
  await tables.commit([entry(4, START + 55n * MINUTE, rows('right again'))]);
  tables.now = START + HOUR + 5n * MINUTE;
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), ['log right again', 'log second', 'log set back']);
  tables.now = START + HOUR + 53n * MINUTE;
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), ['log right again']);
});

test('table retention takes what was received while the clock was ahead for as old as what follows', async (t) => {
  const tables = await openTables(t);
  const ahead = START + 9_000n * HOUR;
  await tables.commit([entry(1, START, namedLogs('a', [{ name: 'first', time: 0n }]))]);
  await tables.commit([entry(2, ahead, namedLogs('a', [{ name: 'ahead', time: 0n }]))]);
  await tables.commit([entry(3, START + 30n * MINUTE, namedLogs('a', [{ name: 'next', time: 0n }]))]);
  tables.now = START + HOUR + 10n * MINUTE;
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), ['log ahead', 'log next']);
  tables.now = START + HOUR + 40n * MINUTE;
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), []);
});

test('table retention takes old rows that arrive late, or are replayed, with the next run', async (t) => {
  const tables = await openTables(t);
  await tables.retain();
  await tables.commit([entry(1, START, namedLogs('a', [{ name: 'late', time: START - 2n * HOUR }]))]);
  assert.deepEqual(await visibleNames(tables), ['log late']);
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), []);
  assert.ok(tables.figures.intervalMs <= 60_000);
});

test('table retention leaves the same rows live and after a replay from scratch', async (t) => {
  const live = await openTables(t);
  const entries = Array.from({ length: 12 }, (_, i): TestEntry => {
    const at = START + BigInt(i) * 20n * MINUTE;
    const rows = [
      { name: `${i} now`, time: at },
      { name: `${i} late`, time: at - 40n * MINUTE },
      { name: `${i} none`, time: 0n },
      { name: `${i} ahead`, time: at + 30n * MINUTE },
    ];
    return entry(i, at, [namedLogs, namedSpans, namedSamples][i % 3]!(`service ${i % 5}`, rows));
  });
  for (const one of entries) {
    live.now = one.receivedAtUnixNano;
    await live.commit([one]);
    await live.retain();
  }
  const replayed = await openTables(t, { now: live.now });
  await replayed.commit(entries);
  const end = live.now + MINUTE;
  for (const tables of [live, replayed]) {
    tables.now = end;
    await tables.retain();
  }
  assert.deepEqual(await visibleRows(replayed), await visibleRows(live));
  assert.ok((await visibleNames(live)).length > 5);
});

test('table retention works in slices, each a transaction that leaves nothing broken', async (t) => {
  const tables = await openTables(t, { limits: { retentionSliceRowsMax: 7, retentionKeysMax: 3 } });
  const rows = Array.from({ length: 50 }, (_, i) => ({ name: `${i}`, time: START }));
  await tables.commit([entry(1, START, namedSamples('a', rows)), entry(2, START, namedLogs('a', rows))]);
  tables.now = START + 2n * HOUR;
  let before = await counts(tables, 'samples_v1', 'logs_v1', 'series_v1');
  while (tables.figures.runs === 0) {
    await tables.step();
    const now = await counts(tables, 'samples_v1', 'logs_v1', 'series_v1');
    for (const [i, count] of now.entries()) assert.ok(before[i]! - count <= 7, 'a slice took more rows than it may');
    assert.deepEqual((await brokenReferences(tables)).dangling, []);
    before = now;
  }
  assert.deepEqual(before, [0, 0, 0]);
});

test('table retention shows a failure, tries again and goes on', async (t) => {
  const tables = await openTables(t);
  await tables.commit([entry(1, START - 2n * HOUR, namedLogs('a', [{ name: 'old', time: START - 2n * HOUR }]))]);
  await tables.store.run('ALTER TABLE store.logs_v1 RENAME TO hidden');
  await tables.step();
  for (let i = 0; tables.figures.failing === null && i < 50; i++) await tables.step();
  assert.match(tables.figures.failing ?? '', /logs_v1/);
  await tables.store.run('ALTER TABLE store.hidden RENAME TO logs_v1');
  await tables.retain();
  assert.equal(tables.figures.failing, null);
  assert.deepEqual(await visibleNames(tables), []);
});
