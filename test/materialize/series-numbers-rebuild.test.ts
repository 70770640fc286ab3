/** A rebuild numbers series beside live data: what it takes over of the tables that serve stays with its series. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../src/base/index.ts';
import { ENTRY_KINDS } from '../../src/log/index.ts';
import type { SessionStore } from '../../src/materialize/engine-session.ts';
import { storeParts } from '../../src/materialize/engine-store.ts';
import { createFailedRange } from '../../src/materialize/failed-range.ts';
import { applyViews, migrate, MIGRATIONS_DIRECTORY } from '../../src/materialize/migrator.ts';
import { METRICS_PROJECTION } from '../../src/materialize/projections/metrics.ts';
import { renewNumbering } from '../../src/materialize/projections/series-numbers.ts';
import { NUMBERING_QUERY } from '../../src/materialize/scan/scan-queries.ts';
import { namedSamples } from '../helpers/retained-batches.ts';
import { START } from '../helpers/retained-tables.ts';
import { smallEntries } from '../helpers/small-engine.ts';
import { runTracks, type SmallLog } from '../helpers/small-tracks.ts';

test('points that a rebuild takes over stay with their series, though both loops give numbers to new ones', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'series-numbers-rebuild-'));
  const store = await storeParts({ memoryLimitMb: 256, threads: 1 }).openStore(
    join(directory, 'treasury.duckdb'),
    silentLogger,
  );
  t.after(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });
  const log = metricsLog();
  await migrate(store);
  await renewNumbering(store);
  const numbering = await store.rows(NUMBERING_QUERY);
  let release: () => void = () => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  let isBuilding = false;
  const gated: SessionStore = {
    ...store,
    async connectWriting() {
      const connection = await store.connectWriting();
      let hasWriters = false;
      return {
        ...connection,
        openWriter(table) {
          hasWriters = true;
          return connection.openWriter(table);
        },
        async begin() {
          if (hasWriters) {
            isBuilding = true;
            await gate;
          }
          await connection.begin();
        },
      };
    },
  };
  // The build may not make rows of these any more: it has those that serve.
  const undecodable = { ...createFailedRange(), poisonOf: (offset: bigint) => (offset >= 3n ? 'told so' : undefined) };
  const running = await runTracks(t, gated, log, [METRICS_PROJECTION], {
    migrations: MIGRATIONS_DIRECTORY,
    decodeOtlp: (_signal, entry) => {
      const names = JSON.parse(Buffer.from(entry.record).toString()) as { use: string };
      return namedSamples(
        'a resource',
        names.use.split(' ').map((name) => ({ name, time: START })),
      );
    },
    buildTrouble: () => ({ failedRange: undecodable }),
    applyViews: () => applyViews(store),
  });
  const has =
    (offset: bigint) =>
    ([metrics]: readonly { readonly materializedOffset: bigint }[]): boolean =>
      metrics!.materializedOffset >= offset;
  running.write({ use: 'a' }, { use: 'b' }, { use: 'c a' });
  await running.until(has(3n));
  await running.tracks.rebuild('metrics');
  await running.until(() => isBuilding);
  running.write({ use: 'd' }, { use: 'e a f' }, { use: 'b d' });
  await running.until(has(6n));
  release();
  await running.until(([metrics]) => metrics?.building === null && metrics.lastSwitch !== null);
  const { lastSwitch } = running.tracks.projections[0]!;
  running.write({ use: 'g' });
  await running.until(has(7n));
  await running.stop();
  assert.deepEqual(
    Object.entries(lastSwitch!.tables).filter(([, { result }]) => result !== 'equal'),
    [],
  );
  await store.begin();
  await applyViews(store);
  await store.commit();
  assert.notDeepEqual(await store.rows(NUMBERING_QUERY), numbering, 'readers ask again');
  for (const [table, names] of [
    ['metrics', "attributes['name']"],
    ['exemplars JOIN main.series USING (series_id)', "series.attributes['name']"],
  ] as const) {
    const rows = await store.rows(`
      SELECT entry_offset::INTEGER AS entry, string_agg(${names}, ' ' ORDER BY row) AS names FROM main.${table} GROUP BY ALL ORDER BY ALL`);
    assert.deepEqual(
      rows.map(({ entry, names: found }) => [entry, found]),
      ['a', 'b', 'c a', 'd', 'e a f', 'b d', 'g'].map((text, entry) => [entry, text]),
    );
  }
  const [numbers] = await store.rows(
    'SELECT count(*)::INTEGER AS rows, count(DISTINCT series_number)::INTEGER AS numbers FROM store.series_numbers_v1',
  );
  assert.equal(numbers!['rows'], numbers!['numbers']);
});

/** OTLP entries of metrics, in memory. */
function metricsLog(): SmallLog {
  const log: SmallLog = {
    entries: [],
    firstOffset: 0n,
    write(...records) {
      const offset = BigInt(log.entries.length);
      const entry = { kind: ENTRY_KINDS.OTLP, signal: 'metrics' } as const;
      log.entries.push(
        ...smallEntries(records.map((record, at) => ({ ...entry, record, offset: offset + BigInt(at) }))),
      );
      return BigInt(log.entries.length);
    },
  };
  return log;
}
