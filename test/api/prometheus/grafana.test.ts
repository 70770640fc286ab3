/**
 * Goal: a stock Grafana datasource works.
 * Method: the requests that its backend and frontend send (methods, headers, forms, keys in their order) against a real store, and what its converter
 * needs of the answers.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { nanos } from '../../helpers/metrics-view.ts';
import {
  type Answer,
  counter,
  type Envelope,
  gauge,
  get,
  post,
  type PrometheusServer,
  startPrometheusServer,
} from './prometheus-server.ts';

const T = 1_795_347_120;
const SECONDS = [T - 120, T - 60, T];
/** Whole seconds, as variables and drilldown ask. */
const RANGE = { start: `${T - 3600}`, end: `${T}` };

let server: PrometheusServer;
const closing: (() => Promise<void>)[] = [];
const query = (path: string, parameters: Readonly<Record<string, string>>): Promise<Answer> =>
  post(server.base, path, parameters);

before(async () => {
  server = await startPrometheusServer({ after: (close) => closing.push(close) });
  await server.store.send(
    [
      counter('traces.spanmetrics.calls', SECONDS, { span_name: 'GET /' }),
      gauge('queue.size', SECONDS, -0.5, { 'service.tier': 'front' }),
      gauge('odd', [T], Number.NaN),
      nativeHistogram(),
      classicHistogram(),
      withExemplar(),
    ],
    { resource: { 'service.name': 'cart', 'service.instance.id': 'cart-1', 'os.type': 'linux' } },
  );
});

after(async () => {
  for (const close of closing) await close();
});

test('health is 1+1, and then what is built in', async () => {
  const { status, body, headers } = await query('/query', { query: '1+1', time: '4' });
  assert.equal(status, 200);
  assert.equal(headers.get('content-encoding'), 'gzip');
  assert.deepEqual(body.data, { resultType: 'scalar', result: [4, '2'] });
  const buildinfo = await get(server.base, '/status/buildinfo');
  const { version, features } = buildinfo.body.data as { version: string; features?: unknown };
  assert.match(version, /^3\.\d+\.\d+$/);
  assert.equal(features, undefined);
});

test('instant and range, in parallel, are what the converter reads', async () => {
  const expression = 'sum by (span_name) (rate(traces_spanmetrics_calls_total{job="cart"}[5m0s]))';
  const [instant, range, exemplars] = await Promise.all([
    query('/query', { query: expression, time: `${T}.789`, stats: 'all', timeout: '55s' }),
    query('/query_range', { query: expression, start: `${T - 60}`, end: `${T}`, step: '0.5' }),
    query('/query_exemplars', { query: expression, ...RANGE }),
  ]);
  checkConvertible(instant.body);
  checkConvertible(range.body);
  assert.deepEqual(exemplars.body, { status: 'success', data: [] });
  const { stats } = instant.body.data as { stats: { samples: { totalQueryableSamples: number } } };
  assert.equal(typeof stats.samples.totalQueryableSamples, 'number');
});

test('up to ten queries in parallel are answered', async () => {
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, at) => query('/query', { query: `topk(5, queue_size + ${at})`, time: `${T}` })),
  );
  assert.deepEqual(
    answers.map(({ body }) => (body.data as { result: { value: unknown[] }[] }).result[0]!.value[1]),
    answers.map((_, at) => String(at - 0.5)),
  );
});

test('values that are no numbers are strings too', async () => {
  const { text, body } = await query('/query', { query: 'odd', time: `${T}` });
  checkConvertible(body);
  assert.match(text, /"NaN"/);
  assert.match((await query('/query', { query: '1 / 0', time: '1' })).text, /"\+Inf"/);
});

test('expressions of ranges, and strings, have their own types', async () => {
  const matrix = await query('/query', { query: 'queue_size[3600s]', time: `${T}` });
  checkConvertible(matrix.body);
  assert.equal((matrix.body.data as { resultType: string }).resultType, 'matrix');
  const string = await query('/query', { query: '"a \\"b\\""', time: '1.5' });
  assert.deepEqual(string.body.data, { resultType: 'string', result: [1.5, 'a "b"'] });
});

test('exemplars stand beside the labels of their series, with numbers as times and strings as values', async () => {
  const expression = 'histogram_quantile(0.9, sum by (le) (rate(size_bytes_bucket[5m]))) + sum(rate(clicks_total[5m]))';
  const { body } = await query('/query_exemplars', { query: expression, ...RANGE });
  assert.deepEqual(body.data, [
    {
      seriesLabels: { __name__: 'clicks_total', instance: 'cart-1', job: 'cart' },
      exemplars: [{ labels: { trace_id: '0af7651916cd43dd8448eb211c80319c' }, value: '0.25', timestamp: T - 0.5 }],
    },
  ]);
});

test('native histograms have buckets with the rule of their boundaries', async () => {
  const instant = await query('/query', { query: 'latency_seconds', time: `${T}` });
  const { result } = instant.body.data as { result: { metric: object; histogram: unknown }[] };
  assert.deepEqual(result[0]!.histogram, [
    T,
    {
      count: '10',
      sum: '12.5',
      buckets: [
        [1, '-2', '-1', '1'],
        [3, '-0.001', '0.001', '2'],
        [0, '1', '2', '3'],
        [0, '2', '4', '4'],
      ],
    },
  ]);
  const range = await query('/query_range', { query: 'latency_seconds', start: `${T}`, end: `${T}`, step: '15' });
  const [series] = (range.body.data as { result: { values?: unknown; histograms: unknown[][] }[] }).result;
  assert.equal(series!.values, undefined);
  assert.deepEqual(series!.histograms[0], result[0]!.histogram);
});

test('what an evaluation has to say is in arrays beside the data', async () => {
  const info = await query('/query', { query: 'rate(queue_size[5m])', time: `${T}` });
  assert.match(info.body.infos![0]!, /^PromQL info: metric might not be a counter.*\(1:6\)$/);
  const warning = await query('/query', { query: 'quantile(7, queue_size)', time: `${T}` });
  assert.match(
    warning.body.warnings![0]!,
    /^PromQL warning: quantile value should be between 0 and 1, got 7 \(1:10\)$/,
  );
});

test('the startup of a datasource: rules, exemplars with milliseconds, names, metadata, labels', async () => {
  const rules = await get(server.base, '/rules');
  assert.deepEqual(rules.body, { status: 'success', data: { groups: [] } });
  const exemplars = await query('/query_exemplars', { query: 'test', start: `${T - 60}000`, end: `${T}000` });
  assert.equal(exemplars.status, 200);
  assert.deepEqual(exemplars.body, { status: 'success', data: [] });
  const names = await get(server.base, '/label/__name__/values', { ...RANGE, limit: '40000' });
  assert.deepEqual(names.body.data, [
    'clicks_total',
    'latency_seconds',
    'odd',
    'queue_size',
    'size_bytes_bucket',
    'size_bytes_count',
    'size_bytes_sum',
    'target_info',
    'traces_spanmetrics_calls_total',
  ]);
  const metadata = await get(server.base, '/metadata', { limit: '40000' });
  const { traces_spanmetrics_calls_total: calls, queue_size: size } = metadata.body.data as Record<string, object[]>;
  assert.deepEqual(calls, [{ type: 'counter', unit: '', help: 'Help of traces.spanmetrics.calls' }]);
  assert.deepEqual(size, [{ type: 'gauge', unit: '', help: '' }]);
  const labels = await query('/labels', { ...RANGE, limit: '40000', 'match[]': '{__name__=~"queue.*"}' });
  assert.deepEqual(labels.body.data, ['__name__', 'instance', 'job', 'service_tier']);
});

test('variables and drilldown: series, label values, suggestions', async () => {
  const series = await query('/series', { ...RANGE, limit: '40000', 'match[]': '{__name__=~".*queue.*"}' });
  assert.deepEqual(series.body.data, [
    { __name__: 'queue_size', instance: 'cart-1', job: 'cart', service_tier: 'front' },
  ]);
  const escaped = await get(server.base, '/label/U__service__tier/values', { 'match[]': 'queue_size' });
  assert.deepEqual(escaped.body.data, ['front']);
  const suggestions = await fetch(`${server.base}/label/job/values?limit=40000`, { method: 'POST' });
  assert.deepEqual(await suggestions.json(), { status: 'success', data: ['cart'] });
  const cut = await query('/labels', { ...RANGE, limit: '2' });
  assert.deepEqual(cut.body, {
    status: 'success',
    data: ['__name__', 'instance'],
    warnings: ['results truncated due to limit'],
  });
});

test('a label with a slash or a dot in its name is found however it is written', async () => {
  for (const path of ['/label/no%2Fsuch/values', '/label/no/such/values', '/label/U__no_2e_such/values']) {
    const { status, body } = await get(server.base, path);
    assert.deepEqual({ status, body }, { status: 200, body: { status: 'success', data: [] } });
  }
});

test('zstd and br are never chosen, gzip only when it is accepted', async () => {
  const encodings = { 'gzip, deflate, br, zstd': 'gzip', 'br, zstd': null, 'gzip;q=0, br': null, identity: null };
  for (const [accepted, expected] of Object.entries(encodings)) {
    const { headers } = await fetch(`${server.base}/labels`, { headers: { 'Accept-Encoding': accepted } });
    assert.equal(headers.get('content-encoding'), expected);
    assert.equal(headers.get('vary'), 'Accept-Encoding, Origin');
  }
});

test('custom parameters may stand in the URL of a POST', async () => {
  const response = await fetch(`${server.base}/query?tenant=1&time=9&limit=`, {
    method: 'POST',
    body: new URLSearchParams({ query: 'time()', time: '4' }),
  });
  assert.deepEqual(((await response.json()) as Envelope).data, { resultType: 'scalar', result: [4, '4'] });
});

test('a selector that Prometheus refuses is 400 with an error in the envelope, over POST and GET', async () => {
  for (const ask of [query, (path: string, form: Record<string, string>) => get(server.base, path, form)]) {
    const { status, body } = await ask('/labels', { 'match[]': '{__name__=~".*"}' });
    assert.equal(status, 400);
    assert.deepEqual(body, {
      status: 'error',
      errorType: 'bad_data',
      error: 'match[] must contain at least one non-empty matcher',
    });
  }
});

/** Times are JSON numbers, values strings; no series has floats beside histograms here. */
function checkConvertible({ status, data }: Envelope): void {
  assert.equal(status, 'success');
  const { result } = data as { result: { metric: object; value?: unknown[]; values?: unknown[][] }[] };
  assert.ok(result.length > 0);
  for (const { metric, value, values } of result) {
    assert.ok(Object.values(metric).every((text) => typeof text === 'string'));
    for (const [time, text] of values ?? [value!]) {
      assert.equal(typeof time, 'number');
      assert.equal(typeof text, 'string');
    }
  }
}

function nativeHistogram(): object {
  return {
    name: 'latency',
    unit: 's',
    exponentialHistogram: {
      aggregationTemporality: 2,
      dataPoints: [
        {
          startTimeUnixNano: nanos(T - 300),
          timeUnixNano: nanos(T),
          count: '10',
          sum: 12.5,
          scale: 0,
          zeroCount: '2',
          zeroThreshold: 0.001,
          positive: { offset: 0, bucketCounts: ['3', '4'] },
          negative: { offset: 0, bucketCounts: ['1'] },
        },
      ],
    },
  };
}

function withExemplar(): object {
  return {
    name: 'clicks',
    sum: {
      aggregationTemporality: 2,
      isMonotonic: true,
      dataPoints: [
        {
          startTimeUnixNano: nanos(T - 300),
          timeUnixNano: nanos(T),
          asDouble: 1,
          exemplars: [{ timeUnixNano: nanos(T - 0.5), asDouble: 0.25, traceId: '0af7651916cd43dd8448eb211c80319c' }],
        },
      ],
    },
  };
}

function classicHistogram(): object {
  return {
    name: 'size',
    unit: 'By',
    histogram: {
      aggregationTemporality: 2,
      dataPoints: [
        {
          startTimeUnixNano: nanos(T - 300),
          timeUnixNano: nanos(T),
          count: '3',
          sum: 6,
          explicitBounds: [1, 2],
          bucketCounts: ['1', '1', '1'],
        },
      ],
    },
  };
}
