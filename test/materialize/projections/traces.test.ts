import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNormalized } from './normalized.ts';
import { type Rows, tracesBatch, STRING_LAYOUTS } from './rows.ts';
import { openStore } from './store.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const OTHER = 'ffffffffffffffffffffffffffffffff';
const ZERO_TRACE = '0'.repeat(32);
const ZERO_SPAN = '0'.repeat(16);
const MAP = 'a1616101';

const SPANS: Rows = {
  spans: [
    {
      id: 0,
      resource: { id: 1, schema_url: 'https://r' },
      scope: { id: 1, name: 'lib', version: '2' },
      schema_url: 'https://s',
      start_time_unix_nano: 1_700_000_000_000_000_000n,
      duration_time_unix_nano: 4_294_967_297n,
      trace_id: TRACE,
      span_id: '00000000000000ff',
      parent_span_id: 'f000000000000001',
      trace_state: 'a=b',
      name: 'GET /cart',
      kind: 2,
      dropped_attributes_count: 1,
      dropped_events_count: 2,
      dropped_links_count: 3,
      status: { code: 2, status_message: 'broken' },
      flags: 257,
    },
    { id: 1, start_time_unix_nano: 10n, duration_time_unix_nano: -20n, kind: 9, status: { code: 7 }, trace_id: OTHER },
    {
      start_time_unix_nano: -1n,
      duration_time_unix_nano: 2n,
      span_id: ZERO_SPAN,
      parent_span_id: ZERO_SPAN,
      trace_id: ZERO_TRACE,
    },
  ],
  span_attrs: [
    { parent_id: 1, key: 'k', type: 1, str: 'v' },
    { parent_id: 0, key: 'n', type: 2, int: 5n },
    { parent_id: 7, key: 'orphan', type: 5, ser: MAP },
  ],
  span_events: [
    { id: 4, parent_id: 1, time_unix_nano: 11n, name: 'second', dropped_attributes_count: 1 },
    { id: 5, parent_id: 0, time_unix_nano: 12n, name: 'a name that is not inlined' },
    { parent_id: 1, name: 'third' },
    { id: 6, parent_id: 50, time_unix_nano: 13n, name: 'orphan' },
    { name: 'without parent' },
  ],
  span_event_attrs: [
    { parent_id: 6, key: 'of orphan', type: 6, ser: '81f5' },
    { parent_id: 4, key: 'x', type: 4, bool: true },
    { parent_id: 4, key: 'x', type: 1, str: 'again' },
    { parent_id: 5, key: 'only text', type: 1, str: 'text' },
    { parent_id: 99, key: 'lost', type: 1, str: 'event' },
  ],
  span_links: [
    {
      id: 0,
      parent_id: 1,
      trace_id: TRACE,
      span_id: '0000000000000001',
      trace_state: 's',
      flags: 3,
      dropped_attributes_count: 2,
    },
    { id: 1, parent_id: 1, trace_id: ZERO_TRACE, span_id: ZERO_SPAN },
    { parent_id: 0 },
    { id: 2, parent_id: 60, trace_id: OTHER, span_id: ZERO_SPAN },
  ],
  span_link_attrs: [
    { parent_id: 2, key: 'of orphan', type: 2, int: 1n },
    { parent_id: 1, key: 'm', type: 5, ser: MAP },
    { parent_id: 77, key: 'lost', type: 7, bytes: '01' },
  ],
  resource_attrs: [{ parent_id: 1, key: 'service.name', type: 1, str: 'cart' }],
};

for (const layout of STRING_LAYOUTS) {
  test(`normalized traces give back what was decoded, ${layout} strings`, async (t) => {
    const store = await openStore(t);
    await store.commit([tracesBatch(SPANS, layout)]);
    await assertNormalized(store, SPANS);
  });
}

test('main.spans shows spans with their attributes, events and links', async (t) => {
  const store = await openStore(t);
  await store.commit([tracesBatch(SPANS)]);
  const rows = await store.rows('SELECT * EXCLUDE (row) FROM spans ORDER BY row');
  const common = { entry_offset: 7n, scope_attributes: [] };
  assert.deepEqual(rows, [
    {
      ...common,
      trace_id: TRACE,
      span_id: 255n,
      parent_span_id: 0xf000000000000001n,
      trace_state: 'a=b',
      name: 'GET /cart',
      kind: 'server',
      start_time: 1_700_000_000_000_000_000n,
      end_time: 1_700_000_004_294_967_297n,
      duration_ns: 4_294_967_297n,
      status_code: 'error',
      status_message: 'broken',
      service_name: 'cart',
      flags: 257,
      attributes: [['n', '5']],
      resource_attributes: [['service.name', 'cart']],
      scope_name: 'lib',
      scope_version: '2',
      resource_schema_url: 'https://r',
      scope_schema_url: 'https://s',
      events: [
        {
          time: 12n,
          name: 'a name that is not inlined',
          attributes: [['only text', 'text']],
          dropped_attributes_count: 0,
        },
      ],
      links: [{ trace_state: '', flags: 0, attributes: [], dropped_attributes_count: 0 }],
      dropped_attributes_count: 1,
      dropped_events_count: 2,
      dropped_links_count: 3,
    },
    {
      ...common,
      trace_id: OTHER,
      trace_state: '',
      name: '',
      kind: '9',
      start_time: 10n,
      end_time: -10n,
      duration_ns: -20n,
      status_code: '7',
      status_message: '',
      flags: 0,
      attributes: [['k', 'v']],
      resource_attributes: [],
      scope_name: '',
      scope_version: '',
      resource_schema_url: '',
      scope_schema_url: '',
      events: [
        {
          time: 11n,
          name: 'second',
          attributes: [
            ['x', 'true'],
            ['x', 'again'],
          ],
          dropped_attributes_count: 1,
        },
        { time: 0n, name: 'third', attributes: [], dropped_attributes_count: 0 },
      ],
      links: [
        { trace_id: TRACE, span_id: 1n, trace_state: 's', flags: 3, attributes: [], dropped_attributes_count: 2 },
        { trace_state: '', flags: 0, attributes: [['m', '{"a":1}']], dropped_attributes_count: 0 },
      ],
      dropped_attributes_count: 0,
      dropped_events_count: 0,
      dropped_links_count: 0,
    },
    {
      ...common,
      trace_state: '',
      name: '',
      kind: 'unspecified',
      start_time: -1n,
      end_time: 1n,
      duration_ns: 2n,
      status_code: 'unset',
      status_message: '',
      flags: 0,
      attributes: [],
      resource_attributes: [],
      scope_name: '',
      scope_version: '',
      resource_schema_url: '',
      scope_schema_url: '',
      events: [],
      links: [],
      dropped_attributes_count: 0,
      dropped_events_count: 0,
      dropped_links_count: 0,
    },
  ]);
});
