/**
 * Goal: metrics that came in as OTLP are answered as Prometheus answers them, by a real server with options of its own.
 * Method: a server process, OTLP/JSON over HTTP as SDKs send it, then the requests of a Grafana datasource; the server is killed and started again.
 * Invariant: the same query has the same answer before and after, and a setting changes how stored metrics look, not what is stored.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';

const T = 1_795_347_120;

interface Envelope {
  readonly status: string;
  readonly data: { readonly result: readonly { readonly metric: object; readonly value?: unknown[] }[] };
}

async function ask(server: ServerProcess, path: string, form: Readonly<Record<string, string>>): Promise<Envelope> {
  const response = await fetch(`http://${server.http}/api/v1${path}`, {
    method: 'POST',
    body: new URLSearchParams(form),
  });
  assert.equal(response.status, 200);
  return (await response.json()) as Envelope;
}

async function send(server: ServerProcess): Promise<void> {
  const attributes = (pairs: Readonly<Record<string, string>>): object[] =>
    Object.entries(pairs).map(([key, stringValue]) => ({ key, value: { stringValue } }));
  const dataPoints = [0, 60, 120].map((seconds) => ({
    attributes: attributes({ 'http.route': '/cart' }),
    startTimeUnixNano: `${T - 300}000000000`,
    timeUnixNano: `${T - 120 + seconds}000000000`,
    asInt: `${seconds}`,
  }));
  const request = {
    resourceMetrics: [
      {
        resource: {
          attributes: attributes({
            'service.name': 'cart',
            'service.version': '1.2',
            'host.name': 'a',
            'os.type': 'linux',
          }),
        },
        scopeMetrics: [
          {
            scope: { name: 'http' },
            metrics: [
              { name: 'http.requests', unit: '1', sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints } },
            ],
          },
        ],
      },
    ],
  };
  const response = await fetch(`http://${server.otlpHttp}/v1/metrics`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(request),
  });
  assert.equal(response.status, 200);
  await untilMaterialized(server);
}

test('OTLP in, PromQL out, the same after a kill, otherwise named with another strategy', async (t) => {
  const data = scratchDirectory(t);
  let server = await startServerProcess(data);
  t.after(() => server.end('SIGKILL'));
  await send(server);
  const rate = { query: 'sum by (service_name, http_route) (rate(http_requests_total[5m]))', time: `${T}` };
  const before = await ask(server, '/query', rate);
  assert.deepEqual(before.data.result, [
    { metric: { http_route: '/cart', service_name: 'cart' }, value: [T, before.data.result[0]!.value![1]] },
  ]);
  assert.ok(Number(before.data.result[0]!.value![1]) > 0.3);
  const metric = await ask(server, '/query', { query: 'http_requests_total', time: `${T}` });
  assert.deepEqual(metric.data.result[0]!.metric, {
    __name__: 'http_requests_total',
    host_name: 'a',
    http_route: '/cart',
    job: 'cart',
    otel_scope_name: 'http',
    service_name: 'cart',
    service_version: '1.2',
  });
  await server.end('SIGKILL');

  server = await startServerProcess(data, '127.0.0.1:0');
  await untilMaterialized(server);
  assert.deepEqual(await ask(server, '/query', rate), before);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());

  server = await startServerProcess(data, '127.0.0.1:0', [
    '--prometheus-translation',
    'NoTranslation',
    '--promote-resource-attributes',
    'none',
    '--enable-feature',
    'promql-experimental-functions',
  ]);
  await untilMaterialized(server);
  const named = await ask(server, '/query', { query: 'limitk(1, {"http.requests"})', time: `${T}` });
  assert.deepEqual(named.data.result[0]!.metric, {
    __name__: 'http.requests',
    'http.route': '/cart',
    job: 'cart',
    otel_scope_name: 'http',
  });
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
});
