/** What Grafana 13 asks of a Prometheus datasource, with an answer from the metrics below. Times are around `T`. */
import { nanos } from '../../helpers/metrics-view.ts';
import { counter, gauge } from './prometheus-server.ts';
import {
  buildData,
  cardinalityData,
  exemplarsData,
  type Form,
  labelSets,
  metadataData,
  object,
  only,
  queryData,
  string,
  texts,
} from './strict-answers.ts';

export const T = 1_795_347_120;

export interface GrafanaRequest {
  readonly path: string;
  readonly parameters: readonly (readonly [name: string, value: string])[];
  readonly data: Form;
  /** Both unless only one is sent. */
  readonly methods?: readonly ('GET' | 'POST')[];
  /** Whether the metrics below give no data, which Prometheus answers with an empty list. */
  readonly isEmpty?: boolean;
}

const RANGE: GrafanaRequest['parameters'] = [
  ['end', `${T}`],
  ['start', `${T - 3600}`],
];
const GET = { methods: ['GET'] } as const;

function instant(query: string, type: Parameters<typeof queryData>[0] = 'vector', isEmpty = false): GrafanaRequest {
  const parameters = [['query', query] as const, ['time', `${T}.789`] as const];
  return { path: '/query', parameters, data: queryData(type), isEmpty };
}

function range(query: string, step = '15', isEmpty = false): GrafanaRequest {
  const [start, end] = [T - 120, T + Number(step)].map((time) => Math.floor(time / Number(step)) * Number(step));
  const parameters = [['end', `${end}`] as const, ['query', query] as const, ['start', `${start}`] as const];
  return { path: '/query_range', parameters: [...parameters, ['step', step]], data: queryData('matrix'), isEmpty };
}

/** Queries whose metrics there are, by what sends them. */
export const QUERIES: readonly GrafanaRequest[] = [
  { ...instant('1+1', 'scalar'), parameters: [['query', '1+1'] as const, ['time', '4'] as const] },
  instant('queue_size'),
  instant('queue_size[3600s]', 'matrix'),
  instant('"text"', 'string'),
  instant('latency_seconds'),
  ...['15', '0.5', '1210'].map((step) => range('last_over_time(queue_size[3600s])', step)),
  range('latency_seconds'),
  range('{__name__=~"latency_seconds|queue_size"}'),
  // Expanded macros: $__rate_interval, $__range, $__interval.
  range('sum by (span_name) (rate(traces_spanmetrics_calls_total[1m0s]))', '15', true),
  range('sum by (span_name) (rate(traces_spanmetrics_calls_total[3600s]))'),
  range('avg_over_time(queue_size[30s])'),
  // Ad hoc filters, as Prometheus' printer writes them; a name that is no UTF-8 identifier in quotes.
  range('sum(rate(traces_spanmetrics_calls_total{service_name!="x",span_name="GET /"}[5m]))'),
  range('{"queue_size","service_tier"=~"fr.+"}'),
  ...['all', 'true'].map((stats): GrafanaRequest => {
    const request = range('rate(traces_spanmetrics_calls_total[5m])');
    return { ...request, parameters: [...request.parameters, ['stats', stats], ['timeout', '55s']] };
  }),
  // Service map: one batch, times four metrics, and its table.
  ...['server_seconds_sum', 'total', 'failed_total', 'server_seconds_bucket'].flatMap((name) => {
    const metric = `traces_service_graph_request_${name}`;
    return [
      instant(`sum by (client, server) (rate(${metric}[3600s]))`),
      instant(`group by (client, connection_type, server) (${metric})`),
    ];
  }),
  instant('topk(5, sum(rate(traces_spanmetrics_calls_total{}[3600s])) by (span_name))'),
  instant(
    'topk(5, sum(rate(traces_spanmetrics_calls_total{status_code="STATUS_CODE_ERROR",span_name=~"GET /"}[3600s])) by (span_name))',
    'vector',
    true,
  ),
  instant('histogram_quantile(.9, sum(rate(traces_spanmetrics_latency_bucket{span_name=~"GET /"}[3600s])) by (le))'),
  instant('histogram_quantile(.9, sum(rate(latency_seconds{job=~"cart"}[3600s])))'),
  // RED and JVM dashboards.
  range('histogram_quantile(0.95, sum by (le, job) (rate(traces_spanmetrics_latency_bucket{job="cart"}[5m])))'),
  range('sum(rate(traces_spanmetrics_latency_sum[5m])) / sum(rate(traces_spanmetrics_latency_count[5m]))'),
  range('sum by (jvm_memory_pool_name) (jvm_memory_used_bytes{job="cart", instance=~".*"})'),
  range('queue_size * on (job, instance) group_left (os_type) target_info'),
  // Drilldown.
  instant('count by (__name__) ({__name__=~".*queue.*"})'),
  instant('group by (service_tier) ({__name__="queue_size"})'),
  instant('{__name__=~".*queue.*"}'),
  instant('absent(nothing)'),
  instant('nothing', 'vector', true),
];

const match = (selector: string): readonly [string, string] => ['match[]', selector];
const LIMIT = ['limit', '40000'] as const;

/** What variables, editors and the start of a datasource ask. */
export const RESOURCES: readonly GrafanaRequest[] = [
  { path: '/query_exemplars', parameters: [...RANGE, ['query', 'sum(rate(clicks_total[5m]))']], data: exemplarsData },
  {
    path: '/query_exemplars',
    parameters: [
      ['end', `${T}000`],
      ['query', 'test'],
      ['start', `${T - 60}000`],
    ],
    data: exemplarsData,
    isEmpty: true,
  },
  { path: '/labels', parameters: [...RANGE, LIMIT], data: texts },
  { path: '/labels', parameters: [match('{__name__=~"queue.*"}'), LIMIT], data: texts },
  { path: '/labels', parameters: [match('queue_size'), match('{job="cart"}'), ...RANGE], data: texts },
  { path: '/series', parameters: [...RANGE, LIMIT, match('{__name__=~".*queue.*"}')], data: labelSets },
  { path: '/series', parameters: [match('{job="cart",span_name!=""}'), match('{job="none"}')], data: labelSets },
  { path: '/series', parameters: [match('none'), ...RANGE], data: labelSets, isEmpty: true },
  { path: '/label/__name__/values', parameters: [...RANGE, LIMIT], data: texts },
  { path: '/label/U__service__tier/values', parameters: [match('queue_size')], data: texts },
  { path: '/label/job/values', parameters: [], data: texts },
  { path: '/label/no%2Fsuch/values', parameters: RANGE, data: texts, isEmpty: true },
  { path: '/metadata', parameters: [LIMIT], data: metadataData, ...GET },
  { path: '/metadata', parameters: [['metric', 'queue_size']], data: metadataData, ...GET },
  { path: '/rules', parameters: [], data: object({ groups: only([]) }), ...GET },
  { path: '/alerts', parameters: [], data: object({ alerts: only([]) }), ...GET },
  { path: '/status/buildinfo', parameters: [], data: buildData, ...GET },
  { path: '/status/tsdb', parameters: [['limit', '3']], data: cardinalityData, ...GET },
  { path: '/format_query', parameters: [['query', 'sum(rate(a[5m])) by (b)']], data: string },
];

/** All of the service `cart`, by the names that its SDK gives. */
export function grafanaMetrics(): object[] {
  const seconds = [T - 120, T - 60, T];
  const edge = { client: 'web', server: 'cart', connection_type: 'virtual_node' };
  const span = { span_name: 'GET /', service_name: 'cart' };
  return [
    counter('traces.spanmetrics.calls', seconds, span),
    classicHistogram('traces.spanmetrics.latency', '', seconds, span),
    counter('traces.service.graph.request', seconds, edge),
    counter('traces.service.graph.request.failed', seconds, edge),
    classicHistogram('traces.service.graph.request.server', 's', seconds, edge),
    gauge('queue.size', seconds, -0.5, { 'service.tier': 'front' }),
    { ...gauge('jvm.memory.used', seconds, 1e6, { 'jvm.memory.pool.name': 'Eden' }), unit: 'By' },
    nativeHistogram(seconds),
    withExemplar(),
  ];
}

function classicHistogram(name: string, unit: string, seconds: readonly number[], attributes: object): object {
  const dataPoints = seconds.map((second, at) => ({
    attributes: Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } })),
    startTimeUnixNano: nanos(T - 300),
    timeUnixNano: nanos(second),
    count: `${3 * (at + 1)}`,
    sum: 6 * (at + 1),
    explicitBounds: [1, 2],
    bucketCounts: [`${at + 1}`, `${at + 1}`, `${at + 1}`],
  }));
  return { name, unit, histogram: { aggregationTemporality: 2, dataPoints } };
}

function nativeHistogram(seconds: readonly number[]): object {
  const dataPoints = seconds.map((second, at) => ({
    startTimeUnixNano: nanos(T - 300),
    timeUnixNano: nanos(second),
    count: `${10 * (at + 1)}`,
    sum: 12.5 * (at + 1),
    scale: 1,
    zeroCount: `${3 * (at + 1)}`,
    positive: { offset: -1, bucketCounts: [`${2 * (at + 1)}`, '0', `${4 * (at + 1)}`] },
    negative: { offset: 0, bucketCounts: [`${at + 1}`] },
  }));
  return { name: 'latency', unit: 's', exponentialHistogram: { aggregationTemporality: 2, dataPoints } };
}

function withExemplar(): object {
  const exemplars = [{ timeUnixNano: nanos(T - 0.5), asDouble: 0.25, traceId: '0af7651916cd43dd8448eb211c80319c' }];
  const dataPoints = [{ startTimeUnixNano: nanos(T - 300), timeUnixNano: nanos(T), asDouble: 1, exemplars }];
  return { name: 'clicks', sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints } };
}
