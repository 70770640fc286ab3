/**
 * Goal: what a program records with the OpenTelemetry SDK is in the tables, exactly, whichever way the SDK sends it.
 * Method: the real SDK for JavaScript with its own processors and exporters (gRPC, HTTP with protobuf, HTTP with JSON; gzip and not)
 * against a real server process; rows are asked for as people ask, SQL over HTTP, and compared with what was recorded.
 * Invariant: every export succeeds without a word from the SDK, and every value, id and time is there once.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type HrTime,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
  ValueType,
} from '@opentelemetry/api';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationType, type ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { listenToSdk, SDK_PROTOCOLS, type Sdk, startSdk } from '../helpers/otlp-sdk.ts';
import {
  fetchSql,
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';

const SCOPE = { name: 'shop.orders', version: '1.4.2', schemaUrl: 'https://opentelemetry.io/schemas/1.30.0' };
const RESOURCE_SCHEMA_URL = 'https://opentelemetry.io/schemas/1.29.0';
const RESOURCE = {
  'service.instance.id': 'b2a1f0c4-0d1e-4c3b-9a57-3f1de0c2a9b8',
  'host.cpu.count': 8,
  'host.load': 0.25,
  'host.virtual': true,
  'process.command_args': ['serve', '--port', '8080'],
};
const RESOURCE_TEXTS = {
  'service.instance.id': 'b2a1f0c4-0d1e-4c3b-9a57-3f1de0c2a9b8',
  'host.cpu.count': '8',
  'host.load': '0.25',
  'host.virtual': 'true',
  'process.command_args': '["serve","--port","8080"]',
};
const SECOND = 1_767_225_600;
const REMOTE: SpanContext = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  traceFlags: 1,
  isRemote: true,
};
/** In the flags of spans and links, beside those of the trace: it is known whether the context is remote, and it is. */
const FLAGS_LOCAL = 0x100;
const FLAGS_REMOTE = 0x300;

const SPAN_LIMITS_TOLD = [
  'Dropped 3 events because eventCountLimit reached',
  'Dropped 1 links because linkCountLimit reached',
];

let server: ServerProcess;
const cleanUps: (() => void | Promise<unknown>)[] = [];

before(async () => {
  server = await startServerProcess(scratchDirectory({ after: (fn) => cleanUps.push(fn) }));
});

after(async () => {
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  for (const cleanUp of cleanUps) await cleanUp();
});

for (const protocol of SDK_PROTOCOLS) {
  for (const compression of ['gzip', 'none'] as const) {
    const service = `shop ${protocol} ${compression}`;
    test(`what the SDK records is in the tables exactly: ${protocol}, ${compression} compression`, async () => {
      const sdk = startSdk({
        protocol,
        compression,
        server,
        resource: resourceFromAttributes({ 'service.name': service, ...RESOURCE }, { schemaUrl: RESOURCE_SCHEMA_URL }),
        spanLimits: { attributeCountLimit: 10, eventCountLimit: 2, linkCountLimit: 2 },
        views: [
          {
            instrumentName: 'exact',
            aggregation: { type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: { boundaries: [1, 2.5, 10] } },
          },
          { instrumentName: 'scaled', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } },
        ],
      });
      await recordAndStop(sdk);
      await untilMaterialized(server);

      assert.deepEqual(await logRows(service), expectedLogs(service));
      assert.deepEqual(await typedAttributes(service), TYPED_ATTRIBUTES);
      assert.deepEqual(await spanRows(service), expectedSpans(service, sdk.exports.spans[0]!.item));
      assert.deepEqual(
        await metricRows(service),
        sorted(sdk.exports.metrics.flatMap(({ item }) => expectedMetrics(item))),
      );
      assert.deepEqual(await seriesParents(service), [
        [{ 'service.name': service, ...RESOURCE_TEXTS }, SCOPE.name, SCOPE.version],
      ]);
    });
  }
}

/** Flushes once and stops; every export must succeed, and the SDK say nothing but that it keeps its limits. */
async function recordAndStop(sdk: Sdk): Promise<void> {
  const heard = listenToSdk();
  try {
    recordLogs(sdk);
    recordSpans(sdk);
    recordMetrics(sdk);
    await sdk.flush();
    await sdk.stop();
    const { spans, logs, metrics } = sdk.exports;
    // Stopping collects metrics once more.
    assert.deepEqual([spans.length, logs.length, metrics.length], [1, 1, 2]);
    const failures = [...spans, ...logs, ...metrics].flatMap(({ error }) => error ?? []);
    assert.deepEqual(failures, []);
    assert.deepEqual(heard.warnings, SPAN_LIMITS_TOLD);
  } finally {
    heard.end();
  }
}

function recordLogs({ loggers }: Sdk): void {
  const logger = loggers.getLogger(SCOPE.name, SCOPE.version, {
    schemaUrl: SCOPE.schemaUrl,
    attributes: { 'scope.key': 'of the logger' },
  });
  logger.emit({
    timestamp: at(1, 1),
    observedTimestamp: at(1, 2),
    severityNumber: SeverityNumber.WARN2,
    severityText: 'WARNING',
    eventName: 'order.placed',
    body: 'Order placed: ümläut, 漢字, 🦆, "quotes" and \u0000 zero',
    context: trace.setSpanContext(ROOT_CONTEXT, REMOTE),
    attributes: {
      string: 'a string',
      'string.empty': '',
      int: 42,
      'int.negative': -7,
      'int.large': Number.MAX_SAFE_INTEGER,
      double: 0.1,
      'double.tiny': 5e-324,
      'bool.true': true,
      'bool.false': false,
      bytes: new Uint8Array([0, 1, 254, 255]),
      array: ['a', 1, 2.5, false],
      map: { inner: { deep: [1, 'two'] }, other: 'x' },
      nothing: null,
    },
  });
  logger.emit({ timestamp: at(2, 0), observedTimestamp: at(2, 0), body: { user: 'ann', items: [1, 2] } });
  logger.emit({ timestamp: at(3, 0), observedTimestamp: at(3, 0), body: 12.5, severityNumber: SeverityNumber.FATAL4 });
  logger.emit({ timestamp: at(4, 0), observedTimestamp: at(4, 0), body: new Uint8Array([1, 2, 3]) });
  logger.emit({ timestamp: at(5, 0), observedTimestamp: at(5, 0) });
}

const LOG_ATTRIBUTES = {
  string: 'a string',
  'string.empty': '',
  int: '42',
  'int.negative': '-7',
  'int.large': '9007199254740991',
  double: '0.1',
  'double.tiny': '5e-324',
  'bool.true': 'true',
  'bool.false': 'false',
  bytes: 'AAH+/w==',
  array: '["a",1,2.5,false]',
  map: '{"inner":{"deep":[1,"two"]},"other":"x"}',
  nothing: null,
};

/** type (as OTAP numbers them), str, int, double, bool, bytes; CBOR of the two last is looked at elsewhere. */
const TYPED_ATTRIBUTES = [
  ['string', 1, 'a string', null, null, null, null],
  ['string.empty', 1, '', null, null, null, null],
  ['int', 2, null, '42', null, null, null],
  ['int.negative', 2, null, '-7', null, null, null],
  ['int.large', 2, null, '9007199254740991', null, null, null],
  ['double', 3, null, null, 0.1, null, null],
  ['double.tiny', 3, null, null, 5e-324, null, null],
  ['bool.true', 4, null, null, null, true, null],
  ['bool.false', 4, null, null, null, false, null],
  ['bytes', 7, null, null, null, null, '0001FEFF'],
  ['array', 6, null, null, null, null, null],
  ['map', 5, null, null, null, null, null],
  ['nothing', 0, null, null, null, null, null],
];

function expectedLogs(service: string): unknown[][] {
  const parents = [
    service,
    { 'service.name': service, ...RESOURCE_TEXTS },
    RESOURCE_SCHEMA_URL,
    SCOPE.name,
    SCOPE.version,
    { 'scope.key': 'of the logger' },
    SCOPE.schemaUrl,
  ];
  const row = (second: number, severity: number, body: string | null, bodyType: string) => [
    timeText(at(second, 0)),
    timeText(at(second, 0)),
    severity,
    '',
    body,
    bodyType,
    '',
    null,
    null,
    0,
    0,
    {},
    ...parents,
  ];
  return [
    [
      timeText(at(1, 1)),
      timeText(at(1, 2)),
      14,
      'WARNING',
      'Order placed: ümläut, 漢字, 🦆, "quotes" and \u0000 zero',
      'str',
      'order.placed',
      REMOTE.traceId,
      REMOTE.spanId,
      1,
      0,
      LOG_ATTRIBUTES,
      ...parents,
    ],
    row(2, 0, '{"user":"ann","items":[1,2]}', 'map'),
    row(3, 24, '12.5', 'double'),
    row(4, 0, 'AQID', 'bytes'),
    row(5, 0, null, 'empty'),
  ];
}

function logRows(service: string): Promise<unknown[][]> {
  return fetchSql(
    server,
    `SELECT time, observed_time, severity_number, severity_text, body, body_type, event_name, trace_hex(trace_id), span_hex(span_id),
       flags, dropped_attributes_count, attributes, service_name, resource_attributes, resource_schema_url, scope_name, scope_version,
       scope_attributes, scope_schema_url
     FROM logs WHERE service_name = '${service}' ORDER BY time`,
  );
}

function typedAttributes(service: string): Promise<unknown[][]> {
  return fetchSql(
    server,
    `SELECT key, type, str, int, double, bool, hex(bytes) FROM normalized.log_attrs
     WHERE entry_offset IN (SELECT entry_offset FROM logs WHERE service_name = '${service}')`,
  );
}

function recordSpans({ tracers }: Sdk): void {
  const tracer = tracers.getTracer(SCOPE.name, SCOPE.version, { schemaUrl: SCOPE.schemaUrl });
  const server_ = tracer.startSpan(
    'POST /orders',
    { kind: SpanKind.SERVER, startTime: at(10, 5), links: [{ context: REMOTE, attributes: { why: 'retried', n: 2 } }] },
    trace.setSpanContext(ROOT_CONTEXT, REMOTE),
  );
  const inside = trace.setSpan(ROOT_CONTEXT, server_);
  const database = tracer.startSpan('INSERT', { kind: SpanKind.CLIENT, startTime: at(11, 0) }, inside);
  database.setAttributes({
    'db.system': 'postgresql',
    'db.rows': 3,
    'db.cost': 1.5,
    'db.cached': false,
    'db.hosts': ['a', 'b'],
  });
  database.addEvent('lock.wait', { 'lock.ms': 12, 'lock.name': 'orders' }, at(11, 100));
  database.addEvent('lock.taken', at(11, 200));
  database.setStatus({ code: SpanStatusCode.ERROR, message: 'duplicate key' });
  database.end(at(12, 999_999_999));
  server_.setStatus({ code: SpanStatusCode.OK });
  server_.end(at(13, 7));
  const many = tracer.startSpan('limited', { root: true, startTime: at(20, 0), kind: SpanKind.PRODUCER });
  for (let n = 0; n < 12; n++) many.setAttribute(`key.${n}`, n);
  for (let n = 0; n < 5; n++) many.addEvent(`event ${n}`, at(20, n));
  for (let n = 0; n < 3; n++) many.addLink({ context: { ...REMOTE, isRemote: false } });
  many.end(at(20, 10));
}

function expectedSpans(
  service: string,
  ended: readonly { name: string; spanContext(): SpanContext; links: readonly unknown[] }[],
): unknown[][] {
  const context = (name: string) => ended.find((span) => span.name === name)!.spanContext();
  const parents = [
    service,
    { 'service.name': service, ...RESOURCE_TEXTS },
    RESOURCE_SCHEMA_URL,
    SCOPE.name,
    SCOPE.version,
    SCOPE.schemaUrl,
  ];
  const link = (flags: number, attributes: Record<string, string>) => ({
    trace: REMOTE.traceId,
    span: REMOTE.spanId,
    trace_state: '',
    flags,
    attributes,
    dropped: 0,
  });
  const event = (time: HrTime, name: string, attributes: Record<string, string> = {}) => ({
    time: timeText(time),
    name,
    attributes,
    dropped_attributes_count: 0,
  });
  return [
    [
      REMOTE.traceId,
      context('POST /orders').spanId,
      REMOTE.spanId,
      '',
      'POST /orders',
      'server',
      timeText(at(10, 5)),
      timeText(at(13, 7)),
      '3000000002',
      'ok',
      '',
      1 | FLAGS_REMOTE,
      {},
      [],
      [link(1 | FLAGS_REMOTE, { why: 'retried', n: '2' })],
      0,
      0,
      0,
      ...parents,
    ],
    [
      REMOTE.traceId,
      context('INSERT').spanId,
      context('POST /orders').spanId,
      '',
      'INSERT',
      'client',
      timeText(at(11, 0)),
      timeText(at(12, 999_999_999)),
      '1999999999',
      'error',
      'duplicate key',
      1 | FLAGS_LOCAL,
      { 'db.system': 'postgresql', 'db.rows': '3', 'db.cost': '1.5', 'db.cached': 'false', 'db.hosts': '["a","b"]' },
      [event(at(11, 100), 'lock.wait', { 'lock.ms': '12', 'lock.name': 'orders' }), event(at(11, 200), 'lock.taken')],
      [],
      0,
      0,
      0,
      ...parents,
    ],
    [
      context('limited').traceId,
      context('limited').spanId,
      null,
      '',
      'limited',
      'producer',
      timeText(at(20, 0)),
      timeText(at(20, 10)),
      '10',
      'unset',
      '',
      1 | FLAGS_LOCAL,
      Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`key.${n}`, String(n)])),
      [event(at(20, 3), 'event 3'), event(at(20, 4), 'event 4')],
      [link(1 | FLAGS_LOCAL, {}), link(1 | FLAGS_LOCAL, {})],
      2,
      3,
      1,
      ...parents,
    ],
  ];
}

function spanRows(service: string): Promise<unknown[][]> {
  return fetchSql(
    server,
    `SELECT trace_hex(trace_id), span_hex(span_id), span_hex(parent_span_id), trace_state, name, kind, start_time, end_time, duration_ns,
       status_code, status_message, flags, attributes, events,
       list_transform(links, lambda l: {trace: trace_hex(l.trace_id), span: span_hex(l.span_id), trace_state: l.trace_state,
         flags: l.flags, attributes: l.attributes, dropped: l.dropped_attributes_count}),
       dropped_attributes_count, dropped_events_count, dropped_links_count,
       service_name, resource_attributes, resource_schema_url, scope_name, scope_version, scope_schema_url
     FROM spans WHERE service_name = '${service}' ORDER BY start_time`,
  );
}

function recordMetrics({ meters }: Sdk): void {
  const meter = meters.getMeter(SCOPE.name, SCOPE.version, { schemaUrl: SCOPE.schemaUrl });
  const orders = meter.createCounter('orders', {
    unit: '{order}',
    description: 'Orders placed',
    valueType: ValueType.INT,
  });
  orders.add(3, { region: 'eu' });
  orders.add(4, { region: 'eu' });
  orders.add(1, { region: 'us', vip: true });
  meter.createCounter('revenue', { unit: 'EUR' }).add(99.75);
  const open = meter.createUpDownCounter('open', { valueType: ValueType.INT });
  open.add(2);
  open.add(-5);
  meter.createGauge('temperature', { unit: 'Cel' }).record(-3.25, { room: 'a' });
  meter.createGauge('threads', { valueType: ValueType.INT }).record(Number.MAX_SAFE_INTEGER);
  const exact = meter.createHistogram('exact', { unit: 's' });
  for (const value of [0, 1, 1.5, 2.5, 3, 1000]) exact.record(value, { route: '/' });
  const scaled = meter.createHistogram('scaled', { unit: 'ms' });
  for (const value of [0, 0.125, 1, 2, 4, 4, 1e6]) scaled.record(value);
}

/** name, type, unit, description, temporality, is_monotonic, attributes, then figures; start and end are those of the SDK's clock. */
function expectedMetrics(collected: ResourceMetrics): unknown[][] {
  const points = collected.scopeMetrics.flatMap(({ metrics }) =>
    metrics.flatMap((metric) => metric.dataPoints.map((point) => ({ name: metric.descriptor.name, point }))),
  );
  const of = (name: string, which = 0) => points.filter((item) => item.name === name)[which]!.point;
  const times = (name: string, which = 0) => [timeText(of(name, which).startTime), timeText(of(name, which).endTime)];
  const aggregate = of('scaled').value as unknown as {
    scale: number;
    positive: { offset: number; bucketCounts: number[] };
  };
  assert.deepEqual(
    aggregate.positive.bucketCounts.reduce((sum, count) => sum + count),
    6,
  );
  const counts = (values: number[]) => values.map(String);
  return [
    [
      'exact',
      'histogram',
      's',
      '',
      'cumulative',
      false,
      { route: '/' },
      ...times('exact'),
      ['6', 1008, 0, 1000, counts([2, 2, 1, 1]), [1, 2.5, 10]],
    ],
    ['open', 'sum', '', '', 'cumulative', false, {}, ...times('open'), [-3, '-3']],
    ['orders', 'sum', '{order}', 'Orders placed', 'cumulative', true, { region: 'eu' }, ...times('orders'), [7, '7']],
    [
      'orders',
      'sum',
      '{order}',
      'Orders placed',
      'cumulative',
      true,
      { region: 'us', vip: 'true' },
      ...times('orders', 1),
      [1, '1'],
    ],
    ['revenue', 'sum', 'EUR', '', 'cumulative', true, {}, ...times('revenue'), [99.75, null]],
    [
      'scaled',
      'exponential_histogram',
      'ms',
      '',
      'cumulative',
      false,
      {},
      ...times('scaled'),
      [
        '7',
        1_000_011.125,
        0,
        1e6,
        aggregate.scale,
        '1',
        aggregate.positive.offset,
        counts(aggregate.positive.bucketCounts),
      ],
    ],
    ['temperature', 'gauge', 'Cel', '', 'unspecified', false, { room: 'a' }, ...times('temperature'), [-3.25, null]],
    [
      'threads',
      'gauge',
      '',
      '',
      'unspecified',
      false,
      {},
      ...times('threads'),
      [Number.MAX_SAFE_INTEGER, '9007199254740991'],
    ],
  ];
}

async function metricRows(service: string): Promise<unknown[][]> {
  const tables = {
    samples: 'value, int_value',
    histograms: 'count, sum, min, max, bucket_counts, explicit_bounds',
    exp_histograms: 'count, sum, min, max, scale, zero_count, positive_offset, positive_bucket_counts',
  };
  const rows: unknown[][] = [];
  for (const [table, figures] of Object.entries(tables)) {
    const found = await fetchSql(
      server,
      `SELECT metric_name, type, unit, description, temporality, is_monotonic, attributes, start_time, time, ${figures}
       FROM ${table} JOIN series USING (series_id) WHERE service_name = '${service}'`,
    );
    rows.push(...found.map((row) => [...row.slice(0, 9), row.slice(9)]));
  }
  return sorted(rows);
}

function sorted(rows: unknown[][]): unknown[][] {
  const text = (row: unknown[]) => JSON.stringify([row[0], row[6], row[8]]);
  return rows.toSorted((a, b) => (text(a) < text(b) ? -1 : 1));
}

function seriesParents(service: string): Promise<unknown[][]> {
  return fetchSql(
    server,
    `SELECT DISTINCT resource_attributes, scope_name, scope_version FROM series WHERE service_name = '${service}'`,
  );
}

function at(second: number, nanosecond: number): HrTime {
  return [SECOND + second, nanosecond];
}

/** A time as SQL over HTTP writes it. */
function timeText([second, nanosecond]: HrTime): string {
  return `${new Date(second * 1000).toISOString().slice(0, 19)}.${String(nanosecond).padStart(9, '0')}Z`;
}
