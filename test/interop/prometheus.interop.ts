/**
 * Goal: the texts that tests of the Prometheus API expect are Prometheus' own.
 * Method: with PROMETHEUS naming its binary, one with an empty store, and one that was sent the same OTLP, are asked the same.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { PROMETHEUS_SETTINGS } from '../api/http/harness.ts';
import { nanos, otlpAttributes } from '../helpers/metrics-view.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import { EMPTY, REFUSED } from '../api/prometheus/empty-store-requests.ts';
import { grafanaMetrics, QUERIES, RESOURCES } from '../api/prometheus/grafana-requests.ts';
import {
  type Envelope,
  get,
  post,
  type PrometheusServer,
  startPrometheusServer,
} from '../api/prometheus/prometheus-server.ts';
import { freePort } from '../helpers/collector.ts';

const binary = process.env['PROMETHEUS'];
const skip = binary === undefined ? 'PROMETHEUS names no binary' : false;
/** Where we answer something else on purpose: no data instead of status 204, and no figures of a head that is not there. */
const OTHERS = new Set(['/query_exemplars?query=1', '/status/tsdb']);

test('a Prometheus answers requests to an empty store as we do', { skip }, async (t) => {
  const base = await startPrometheus(t, binary!);
  for (const [path, error] of Object.entries(REFUSED)) {
    const { status, body } = await get(base, path);
    assert.deepEqual({ path, status, error: body.error }, { path, status: 400, error });
  }
  for (const [path, data] of Object.entries(EMPTY)) {
    if (OTHERS.has(path)) continue;
    const { status, body } = await get(base, path);
    assert.deepEqual({ path, status, body }, { path, status: 200, body: { status: 'success', data } });
  }
});

/** Expressions over what `metricsOf` sends. */
const EXPRESSIONS = [
  'requests_total',
  'rate(requests_total[5m])',
  'sum by (route) (increase(requests_total[3m]))',
  'queue_size * 1e30',
  'queue_size / 1e30',
  'latency_seconds',
  'histogram_quantile(0.9, rate(latency_seconds[5m]))',
  'histogram_quantile(0.9, sum by (le) (rate(size_bytes_bucket[5m])))',
  'rate(latency_seconds[5m])',
  '{job="shop/cart"}',
  'requests_total * on (job, instance) group_left (os_type) target_info',
  'count_values("v", queue_size)',
  'absent(nothing{a="b"})',
  'rate(queue_size[5m])',
  'quantile(7, queue_size)',
  'requests_total[3m]',
  'scalar(queue_size)',
  '"text"',
  'sum(',
  'requests_total + on () queue_size',
  'label_replace(requests_total, "route", "same", "", "")',
];

test('a Prometheus that was sent the same OTLP answers the same', { skip, timeout: 120_000 }, async (t) => {
  await compareAnswers(await startPrometheus(t, binary!), await startPrometheusServer(t), EXPRESSIONS);
});

/** Over classic histograms that are native ones. */
const CONVERTED = [
  'size_bytes',
  'rate(size_bytes[5m])',
  'sum(increase(size_bytes[3m]))',
  'histogram_quantile(0.9, size_bytes)',
  'histogram_fraction(0, 2, rate(size_bytes[5m]))',
  'size_bytes - 0.5 * size_bytes',
  'histogram_avg({__name__=~"size_bytes|latency_seconds"})',
  'count by (__name__) ({job="shop/cart"})',
];

test('a Prometheus that converts histograms answers as we do when we convert them', { skip }, async (t) => {
  const theirs = await startPrometheus(t, binary!, ', convert_histograms_to_nhcb: true');
  const settings = { ...PROMETHEUS_SETTINGS, view: { ...PROMETHEUS_SETTINGS.view, convertsHistograms: true } };
  await compareAnswers(theirs, await startPrometheusServer(t, { settings }), CONVERTED);
});

/** Sends both the same, and asks both. */
async function compareAnswers(base: string, ours: PrometheusServer, expressions: readonly string[]): Promise<void> {
  const now = Math.floor(Date.now() / 1000);
  const resource = {
    'service.name': 'cart',
    'service.namespace': 'shop',
    'service.instance.id': 'cart-1',
    'os.type': 'linux',
  };
  for (let round = 3; round >= 0; round--) {
    const metrics = metricsOf(now - 60 * round, 4 - round);
    await ours.store.send(metrics, { resource, scope: { name: 'shop', version: '1' } });
    await sendOtlp(base, metrics, resource, { name: 'shop', version: '1' });
  }
  const range = { start: `${now - 180}`, end: `${now}` };
  const asked: [string, Record<string, string>][] = [
    ...expressions.flatMap((query): [string, Record<string, string>][] => [
      ['/query', { query, time: `${now}.5` }],
      ['/query_range', { query, ...range, step: '30' }],
    ]),
    ['/query_exemplars', { query: 'rate(requests_total[5m])', ...range }],
    ['/series', { 'match[]': '{__name__=~"req.*|queue.*"}', ...range }],
    ['/labels', { ...range }],
    ['/labels', { 'match[]': 'queue_size', ...range }],
    // Sorted: of other vectors each may leave another element.
    ['/query', { query: 'sort(requests_total)', time: `${now}`, limit: '1' }],
  ];
  const differences: unknown[] = [];
  const empty: unknown[] = [];
  for (const [path, form] of asked) {
    const [theirs, own] = await Promise.all([post(base, path, form), post(ours.base, path, form)]);
    if (/"(result|data)":\[\]/.test(theirs.text)) empty.push(form['query'] ?? form);
    const expected = [theirs.status, comparable(theirs.body)];
    const actual = [own.status, comparable(own.body)];
    if (!isDeepStrictEqual(actual, expected)) differences.push({ path, form, actual, expected });
  }
  assert.deepEqual(differences, []);
  assert.deepEqual(empty, []);
}

/** Where we know more than what OTLP gives to Prometheus, or something else. */
const OWN_ANSWERS = new Set(['/metadata', '/status/buildinfo', '/status/tsdb', '/label/no%2Fsuch/values']);

test('a Prometheus that was sent the same answers the requests of Grafana as we do', { skip }, async (t) => {
  const base = await startPrometheus(t, binary!);
  const ours = await startPrometheusServer(t);
  const resource = { 'service.name': 'cart', 'service.instance.id': 'cart-1', 'os.type': 'linux' };
  await ours.store.send(grafanaMetrics(), { resource });
  await sendOtlp(base, grafanaMetrics(), resource, {});
  for (const { path, parameters } of [...QUERIES, ...RESOURCES]) {
    if (OWN_ANSWERS.has(path)) continue;
    const query = new URLSearchParams(parameters.map(([name, value]): [string, string] => [name, value])).toString();
    const [theirs, own] = await Promise.all([base, ours.base].map((at) => get(at, `${path}?${query}`)));
    assert.deepEqual([query, own!.status, comparable(own!.body)], [query, theirs!.status, comparable(theirs!.body)]);
  }
});

async function sendOtlp(
  base: string,
  metrics: readonly object[],
  resource: Readonly<Record<string, string>>,
  scope: object,
): Promise<void> {
  const resourceMetrics = [{ resource: { attributes: otlpAttributes(resource) }, scopeMetrics: [{ scope, metrics }] }];
  const sent = await fetch(`${base}/otlp/v1/metrics`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ resourceMetrics }),
  });
  assert.ok(sent.ok, await sent.text());
}

/** Vectors and lists have no order upstream; statistics are the server's own. */
function comparable({ ...body }: Envelope): unknown {
  if (typeof body.data === 'object' && body.data !== null && 'stats' in body.data)
    body = { ...body, data: { ...body.data, stats: undefined } };
  const data = body.data as { resultType?: string; result?: object[] } | object[] | undefined;
  if (Array.isArray(data)) return { ...body, data: data.map((item) => JSON.stringify(item)).toSorted(byText) };
  if (data?.resultType !== 'vector') return body;
  return { ...body, data: data.result!.map((item) => JSON.stringify(item)).toSorted(byText) };
}

const byText = (left: string, right: string): number => (left < right ? -1 : 1);

function metricsOf(second: number, round: number): object[] {
  const point = { startTimeUnixNano: nanos(second - 60 * round), timeUnixNano: nanos(second) };
  const routes = ['/a', '/b "c"'].map((stringValue) => [{ key: 'route', value: { stringValue } }]);
  const exemplars = [
    {
      timeUnixNano: nanos(second),
      asDouble: round,
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
    },
  ];
  return [
    {
      name: 'requests',
      sum: {
        aggregationTemporality: 2,
        isMonotonic: true,
        dataPoints: routes.map((attributes, at) => ({ ...point, attributes, asDouble: round * (at + 1.5), exemplars })),
      },
    },
    {
      name: 'queue.size',
      gauge: { dataPoints: routes.map((attributes, at) => ({ ...point, attributes, asDouble: at - round / 3 })) },
    },
    {
      name: 'latency',
      unit: 's',
      exponentialHistogram: {
        aggregationTemporality: 2,
        dataPoints: [
          {
            ...point,
            count: `${10 * round}`,
            sum: 12.5 * round,
            scale: 1,
            zeroCount: `${2 * round}`,
            positive: { offset: -1, bucketCounts: [`${3 * round}`, '0', `${4 * round}`] },
            negative: { offset: 0, bucketCounts: [`${round}`] },
          },
        ],
      },
    },
    {
      name: 'size',
      unit: 'By',
      histogram: {
        aggregationTemporality: 2,
        dataPoints: [
          {
            ...point,
            count: `${3 * round}`,
            sum: 6 * round,
            explicitBounds: [1, 2.5],
            bucketCounts: [`${round}`, `${round}`, `${round}`],
          },
        ],
      },
    },
  ];
}

/** `otlp` are more settings of its OTLP receiver. */
async function startPrometheus(t: TestContext, path: string, otlp = ''): Promise<string> {
  const directory = scratchDirectory(t);
  const config = join(directory, 'prometheus.yml');
  writeFileSync(
    config,
    `global: {}\notlp: { keep_identifying_resource_attributes: true, promote_scope_metadata: true${otlp} }\n`,
  );
  const address = `127.0.0.1:${await freePort()}`;
  const child: ChildProcess = spawn(path, [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=${address}`,
    '--web.enable-otlp-receiver',
    '--enable-feature=exemplar-storage',
  ]);
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  for (;;) {
    const answer = await fetch(`http://${address}/-/ready`).catch(() => null);
    if (answer?.ok === true) return `http://${address}/api/v1`;
    assert.equal(child.exitCode, null, 'Prometheus ended');
    await sleep(50);
  }
}
