/** Keys of resources, scopes and series: the same content has the same key in every batch, order, layout and process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hashBytes, startHash } from '../../../src/materialize/projections/content-hash.ts';
import { KeySet, KnownKeys } from '../../../src/materialize/projections/key-set.ts';
import { logsBatch, metricsBatch, type Row, type StringLayout } from './rows.ts';
import { openStore } from './store.ts';

interface Attribute {
  readonly key: string;
  readonly value: Row;
}

const ATTRIBUTES: readonly Attribute[] = [
  { key: 'a', value: { type: 1, str: '1' } },
  { key: 'a', value: { type: 2, int: 1n } },
  { key: 'a', value: { type: 3, double: 1 } },
  { key: 'a', value: { type: 4, bool: true } },
  { key: 'a', value: { type: 7, bytes: '31' } },
  { key: 'a', value: { type: 0 } },
  { key: 'a', value: { type: 5, ser: 'a0' } },
  { key: 'a', value: { type: 6, ser: 'a0' } },
  { key: 'a', value: { type: 3, double: -0 } },
  { key: 'a', value: { type: 3, double: 0 } },
  { key: 'a', value: { type: 2, int: -(2n ** 40n) } },
  { key: 'b', value: { type: 1, str: '1' } },
  { key: '1', value: { type: 1, str: 'a' } },
  { key: 'a', value: { type: 1, str: '' } },
  { key: '', value: { type: 1, str: 'a' } },
];

/** One log for each set of resource attributes. */
function resources(sets: readonly (readonly Attribute[])[], layout: StringLayout = 'plain') {
  return logsBatch(
    {
      logs: sets.map((_, id) => ({ resource: { id } })),
      resource_attrs: sets.flatMap((set, id) => set.map(({ key, value }) => ({ parent_id: id, key, ...value }))),
    },
    layout,
  );
}

async function resourceKeys(store: Awaited<ReturnType<typeof openStore>>, offset: bigint): Promise<unknown[]> {
  const rows = await store.rows(`SELECT resource_key FROM store.logs_v1 WHERE entry_offset = ${offset} ORDER BY row`);
  return rows.map((row) => row['resource_key']);
}

test('a resource key depends on the set of attributes, their types and how often they occur, and on nothing else', async (t) => {
  const store = await openStore(t);
  const sets = [[], ...ATTRIBUTES.map((attribute) => [attribute])];
  sets.push(
    [ATTRIBUTES[0]!, ATTRIBUTES[0]!],
    [ATTRIBUTES[0]!, ATTRIBUTES[1]!],
    [ATTRIBUTES[0]!, ATTRIBUTES[11]!, ATTRIBUTES[2]!],
  );
  const shuffled = sets.map((set) => set.toReversed()).toReversed();
  await store.commit([resources(sets), resources(shuffled, 'dictionary'), resources(sets)], 1n);
  const keys = await resourceKeys(store, 1n);
  assert.equal(new Set(keys).size, sets.length);
  assert.deepEqual((await resourceKeys(store, 2n)).toReversed(), keys);
  assert.deepEqual(await resourceKeys(store, 3n), keys);
  const stored = await store.rows(
    'SELECT count(*) AS rows, count(DISTINCT resource_key) AS keys FROM store.logs_resources_v1',
  );
  assert.deepEqual(stored, [{ rows: BigInt(sets.length), keys: BigInt(sets.length) }]);
});

test('a NULL resource id and an id without attributes are the same resource', async (t) => {
  const store = await openStore(t);
  await store.commit(
    [logsBatch({ logs: [{}, { resource: { id: 5 } }, { resource: { id: 6, schema_url: 'x' } }] })],
    1n,
  );
  const [first, second, third] = await resourceKeys(store, 1n);
  assert.equal(first, second);
  assert.notEqual(first, third);
});

test('keys do not change between releases', async (t) => {
  const store = await openStore(t);
  const metric = {
    id: 0,
    resource: { id: 0 },
    scope: { id: 0, name: 'n' },
    name: 'm',
    unit: 's',
    metric_type: 2,
    is_monotonic: true,
  };
  await store.commit([
    metricsBatch({
      univariate_metrics: [{ ...metric, aggregation_temporality: 2 }],
      number_data_points: [{ id: 0, parent_id: 0, int_value: 1n }],
      number_dp_attrs: [{ parent_id: 0, key: 'code', type: 2, int: 200n }],
      resource_attrs: [{ parent_id: 0, key: 'service.name', type: 1, str: 'a service' }],
    }),
  ]);
  assert.deepEqual(await store.rows('SELECT series_id, resource_key, scope_key FROM series'), [GOLDEN]);
});

const GOLDEN = {
  series_id: 9381271561095195910n,
  resource_key: 7793045591016252466n,
  scope_key: 12757301744865278081n,
};

test('a series id ignores description and schema URLs and tells all other parts apart', async (t) => {
  const store = await openStore(t);
  const base = { id: 0, resource: { id: 0 }, scope: { id: 0 }, name: 'm', unit: 's', metric_type: 2 };
  const same: Row[] = [
    base,
    { ...base, description: 'd' },
    { ...base, schema_url: 'u' },
    { ...base, resource: { id: 0, schema_url: 'u' } },
  ];
  const others: Row[] = [
    { ...base, name: 'n' },
    { ...base, unit: 'm' },
    { ...base, metric_type: 1 },
    { ...base, is_monotonic: true },
    { ...base, aggregation_temporality: 1 },
    { ...base, scope: { id: 0, name: 'x' } },
    { ...base, scope: { id: 0, version: 'x' } },
    { ...base, scope: { id: 1 } },
    { ...base, resource: { id: 1 } },
  ];
  const metrics = [...same, ...others].map((metric, id) => ({ ...metric, id }));
  await store.commit([
    metricsBatch({
      univariate_metrics: metrics,
      number_data_points: metrics.map(({ id }) => ({ parent_id: id, int_value: 1n })),
      resource_attrs: [{ parent_id: 0, key: 'r', type: 1, str: 'r' }],
      scope_attrs: [{ parent_id: 0, key: 's', type: 1, str: 's' }],
    }),
  ]);
  const ids = (await store.rows('SELECT series_id FROM samples ORDER BY row')).map((row) => row['series_id']);
  assert.equal(new Set(ids.slice(0, same.length)).size, 1);
  assert.equal(new Set(ids).size, 1 + others.length);
});

test('content hashes of short byte strings do not collide', () => {
  const seen = new Set<bigint>();
  const lanes = startHash(0);
  let count = 0;
  for (let value = 0; value < 65_536; value++) {
    for (let length = value < 256 ? 1 : 2; length <= 3; length++) {
      const bytes = Uint8Array.from([value & 255, value >> 8, 0]);
      hashBytes(lanes, bytes, 0, length);
      seen.add((BigInt(lanes[1]!) << 32n) | BigInt(lanes[0]!));
      count++;
    }
  }
  assert.equal(seen.size, count);
});

test('KeySet holds what was added and nothing else', () => {
  const key = fc
    .tuple(fc.nat({ max: 700 }), fc.integer({ min: -3, max: 3 }))
    .filter(([low, high]) => low !== 0 || high !== 0);
  fc.assert(
    fc.property(fc.array(key, { maxLength: 2_000 }), (keys) => {
      const set = new KeySet();
      const model = new Set<string>();
      for (const [low, high] of keys) {
        assert.equal(set.add(low, high), !model.has(`${low} ${high}`));
        model.add(`${low} ${high}`);
      }
      assert.equal(set.size, model.size);
      for (const [low, high] of keys) assert.ok(set.has(low, high));
      assert.equal(set.has(701, 0), false);
      let visited = 0;
      set.forEach(() => visited++);
      assert.equal(visited, model.size);
    }),
    { numRuns: 30 },
  );
});

test('KnownKeys stays within its bound and keeps the keys in use', () => {
  const known = new KnownKeys(100);
  known.add(1, 1);
  for (let low = 2; low < 1_000; low++) {
    known.add(low, 1);
    assert.ok(known.has(1, 1));
  }
  let held = 0;
  for (let low = 1; low < 1_000; low++) if (known.has(low, 1)) held++;
  assert.ok(held <= 150);
});
