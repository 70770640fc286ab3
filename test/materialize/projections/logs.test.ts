import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNormalized } from './normalized.ts';
import { logsBatch, type Rows, STRING_LAYOUTS } from './rows.ts';
import { openStore } from './store.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
/** {"a": 1} and [true] in CBOR. */
const MAP = 'a1616101';
const SLICE = '81f5';

const LOGS: Rows = {
  logs: [
    {
      id: 3,
      resource: { id: 0, schema_url: 'https://schema/resource', dropped_attributes_count: 4 },
      scope: { id: 0, name: 'checkout', version: '1.2', dropped_attributes_count: 5 },
      schema_url: 'https://schema/scope',
      time_unix_nano: 1_700_000_000_000_000_001n,
      observed_time_unix_nano: 1_700_000_000_000_000_002n,
      trace_id: TRACE,
      span_id: SPAN,
      severity_number: 17,
      severity_text: 'ERROR',
      body: { type: 1, str: 'payment of a long enough text failed' },
      dropped_attributes_count: 6,
      flags: 1,
      event_name: 'payment.failed',
    },
    { id: 1, resource: { id: 0 }, observed_time_unix_nano: 5n, body: { type: 5, ser: MAP } },
    { resource: { id: 1 }, time_unix_nano: -1n, body: { type: 2, int: -42n } },
    { id: 2, trace_id: '0'.repeat(32), span_id: '0'.repeat(16), body: { type: 7, bytes: '00ff' } },
    { body: { type: 3, double: -0 } },
    {},
  ],
  log_attrs: [
    { parent_id: 3, key: 'http.method', type: 1, str: 'GET' },
    { parent_id: 1, key: 'a', type: 1, str: 'x' },
    { parent_id: 3, key: 'http.status', type: 2, int: 9_007_199_254_740_993n },
    { parent_id: 3, key: 'ratio', type: 3, double: 0.1 },
    { parent_id: 3, key: 'ok', type: 4, bool: true },
    { parent_id: 3, key: 'map', type: 5, ser: MAP },
    { parent_id: 3, key: 'slice', type: 6, ser: SLICE },
    { parent_id: 3, key: 'bytes', type: 7, bytes: 'deadbeef' },
    { parent_id: 3, key: 'empty', type: 0 },
    { parent_id: 3, key: 'http.method', type: 1, str: 'POST' },
    { parent_id: 2, key: 'defaulted', type: 2 },
    { parent_id: 99, key: 'orphan', type: 2, int: 1n },
    { key: 'no parent', type: 6, ser: SLICE },
  ],
  resource_attrs: [
    { parent_id: 0, key: 'service.name', type: 1, str: 'shop' },
    { parent_id: 0, key: 'host.cores', type: 2, int: 4n },
    { parent_id: 9, key: 'unused', type: 1, str: 'resource' },
  ],
  scope_attrs: [{ parent_id: 0, key: 'library', type: 4, bool: false }],
};

for (const layout of STRING_LAYOUTS) {
  test(`main.logs shows log records with their attributes, ${layout} strings`, async (t) => {
    const store = await openStore(t);
    await store.commit([logsBatch(LOGS, layout)]);
    const rows = await store.rows('SELECT * FROM logs ORDER BY row');
    assert.deepEqual(rows[0], {
      entry_offset: 7n,
      row: 0,
      time: 1_700_000_000_000_000_001n,
      observed_time: 1_700_000_000_000_000_002n,
      service_name: 'shop',
      severity_number: 17,
      severity_text: 'ERROR',
      body: 'payment of a long enough text failed',
      body_type: 'str',
      event_name: 'payment.failed',
      trace_id: TRACE,
      span_id: 0xb7ad6b7169203331n,
      flags: 1,
      dropped_attributes_count: 6,
      attributes: [
        ['http.method', 'GET'],
        ['http.status', '9007199254740993'],
        ['ratio', '0.1'],
        ['ok', 'true'],
        ['map', '{"a":1}'],
        ['slice', '[true]'],
        ['bytes', '3q2+7w=='],
        ['empty', undefined],
        ['http.method', 'POST'],
      ],
      resource_attributes: [
        ['service.name', 'shop'],
        ['host.cores', '4'],
      ],
      scope_attributes: [['library', 'false']],
      scope_name: 'checkout',
      scope_version: '1.2',
      resource_schema_url: 'https://schema/resource',
      scope_schema_url: 'https://schema/scope',
    });
    const unset = {
      entry_offset: 7n,
      observed_time: 0n,
      severity_number: 0,
      severity_text: '',
      event_name: '',
      flags: 0,
      dropped_attributes_count: 0,
      attributes: [],
      resource_attributes: [],
      scope_attributes: [],
      scope_name: '',
      scope_version: '',
      resource_schema_url: '',
      scope_schema_url: '',
    };
    const shop = { service_name: 'shop', resource_attributes: rows[0]!['resource_attributes'] };
    assert.deepEqual(rows.slice(1), [
      {
        ...unset,
        ...shop,
        row: 1,
        time: 5n,
        observed_time: 5n,
        body: '{"a":1}',
        body_type: 'map',
        attributes: [['a', 'x']],
      },
      { ...unset, row: 2, time: -1n, body: '-42', body_type: 'int' },
      { ...unset, row: 3, time: 0n, body: 'AP8=', body_type: 'bytes', attributes: [['defaulted', '0']] },
      { ...unset, row: 4, time: 0n, body: '-0', body_type: 'double' },
      { ...unset, row: 5, time: 0n, body_type: 'empty' },
    ]);
  });

  test(`normalized logs give back what was decoded, ${layout} strings`, async (t) => {
    const store = await openStore(t);
    await store.commit([logsBatch(LOGS, layout)]);
    await assertNormalized(store, LOGS);
  });
}
