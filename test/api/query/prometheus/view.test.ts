/**
 * Goal: metrics sent as OTLP read back as Prometheus' own OTLP receiver would have stored them, and what it would have lost reads right.
 * Method: a real log, engine and DuckDB; requests of OTLP in, label sets and samples of the view out.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { MetricsView } from '../../../../src/api/query/prometheus/metrics-view.ts';
import type { LabelMatcher } from '../../../../src/api/query/promql/ast.ts';
import type { Labels } from '../../../../src/api/query/promql/labels.ts';
import type { SelectedSeries } from '../../../../src/api/query/promql/source.ts';
import { StaleMarks } from '../../../../src/api/query/promql/stale.ts';
import { nanos, otlpAttributes, storedMetrics } from '../../../helpers/metrics-view.ts';
import { histogramsOf } from '../../../../src/api/query/promql/histogram.ts';

/** Starting an engine takes long: all tests share one, each with names or times of its own. */
const stored = storedMetrics({ after });

const NEVER = new AbortController().signal;
const ALL = { fromMs: 0, untilMs: 1e12, samplesMax: 1e6, withStartTimes: false };
const CUMULATIVE = 2;
const DELTA = 1;

function named(name: string): LabelMatcher[] {
  return [{ name: '__name__', operator: '=', value: name }];
}

async function select(
  view: MetricsView,
  matchers: readonly LabelMatcher[],
  range: object = {},
): Promise<SelectedSeries[]> {
  return view.select({ ...ALL, ...range, matchers }, NEVER);
}

function labelsText(labels: Labels): string {
  return [...labels.pairs()].map(([name, value]) => `${name}=${value}`).join(' ');
}

/** Labels of each series, with its samples as `seconds:value`. */
function shown(series: readonly SelectedSeries[]): Record<string, string> {
  return Object.fromEntries(
    series.map(({ labels, floats }) => {
      const stale = new StaleMarks(floats.values);
      const samples = [...floats.timesMs].map(
        (timeMs, at) => `${timeMs / 1000}:${stale.at(at) ? 'stale' : floats.values[at]}`,
      );
      return [labelsText(labels), samples.join(' ')];
    }),
  );
}

function point(seconds: number, value: object, attributes: Readonly<Record<string, string>> = {}): object {
  return { timeUnixNano: nanos(seconds), ...value, attributes: otlpAttributes(attributes) };
}

test('gauges and sums have their translated names, job and instance, and the attributes of their points', async () => {
  const { send, view } = await stored;
  const resource = { 'service.name': 'cart', 'service.namespace': 'shop', 'service.instance.id': 'i1', zone: 'a' };
  await send(
    [
      {
        name: 'queue.length',
        gauge: {
          dataPoints: [
            point(10, { asInt: '3' }, { 'queue.name': 'q' }),
            point(20, { asDouble: 4.5 }, { 'queue.name': 'q' }),
          ],
        },
      },
      {
        name: 'requests',
        unit: '{request}',
        sum: { aggregationTemporality: CUMULATIVE, isMonotonic: true, dataPoints: [point(10, { asInt: '7' })] },
      },
    ],
    { resource },
  );
  assert.deepEqual(shown(await select(view, named('queue_length'))), {
    '__name__=queue_length instance=i1 job=shop/cart queue_name=q': '10:3 20:4.5',
  });
  assert.deepEqual(shown(await select(view, named('requests_total'))), {
    '__name__=requests_total instance=i1 job=shop/cart': '10:7',
  });
  assert.deepEqual(shown(await select(view, named('queue_length'), { fromMs: 15_000 })), {
    '__name__=queue_length instance=i1 job=shop/cart queue_name=q': '20:4.5',
  });
});

test('attributes that become one label are joined in the order of their keys', async () => {
  const { send, view } = await stored;
  await send([
    {
      name: 'joined',
      gauge: { dataPoints: [point(1, { asInt: '1' }, { a_b: '2', 'a.b': '1', __name__: 'x', '1c': 'd' })] },
    },
  ]);
  assert.deepEqual(shown(await select(view, named('joined'))), { '__name__=joined a_b=1;2 key_1c=d': '1:1' });
});

test('promoted attributes of resources, labels of scopes, types and units are there when they are set', async () => {
  const { send, viewWith } = await stored;
  await send(
    [{ name: 'promoted', unit: 's', gauge: { dataPoints: [point(1, { asInt: '1' }, { 'host.name': 'own' })] } }],
    {
      resource: { 'service.name': 'cart', 'host.name': 'h', 'k8s.pod.name': 'p' },
      scope: { name: 'lib', version: '2', attributes: { 'a.b': 'c' } },
    },
  );
  const view = viewWith({
    promotedResourceAttributes: ['host.name', 'k8s.pod.name'],
    promotesScope: true,
    typeAndUnitLabels: true,
  });
  assert.deepEqual(shown(await select(view, named('promoted_seconds'))), {
    '__name__=promoted_seconds __type__=gauge __unit__=seconds host_name=own job=cart k8s_pod_name=p otel_scope_a_b=c otel_scope_name=lib otel_scope_version=2':
      '1:1',
  });
  assert.deepEqual(Object.keys(shown(await select(viewWith({ strategy: 'NoTranslation' }), named('promoted')))), [
    '__name__=promoted host.name=own job=cart',
  ]);
});

test('target_info tells the rest of a resource, each half of the lookback while it has points', async () => {
  const JOB: LabelMatcher[] = [{ name: 'job', operator: '=~', value: 'info|bare' }];
  const { send, view, viewWith } = await stored;
  const resource = { 'service.name': 'info', 'service.instance.id': 'i', 'k8s.pod.name': 'p' };
  await send([{ name: 'ti', gauge: { dataPoints: [point(0.5, { asInt: '1' }), point(400, { asInt: '1' })] } }], {
    resource,
  });
  await send([{ name: 'ti', gauge: { dataPoints: [point(1, { asInt: '1' })] } }], {
    resource: { 'service.name': 'bare' },
  });
  assert.deepEqual(shown(await select(view, [...named('target_info'), ...JOB])), {
    '__name__=target_info instance=i job=info k8s_pod_name=p': '0.5:1 150.5:1 300.5:1 400:1',
  });
  assert.deepEqual(
    shown(await select(view, [...named('target_info'), ...JOB], { fromMs: 100_000, untilMs: 350_000 })),
    {
      '__name__=target_info instance=i job=info k8s_pod_name=p': '150.5:1 300.5:1',
    },
  );
  const keeping = viewWith({ keepsIdentifyingAttributes: true });
  assert.deepEqual(Object.keys(shown(await select(keeping, [...named('target_info'), ...JOB]))), [
    '__name__=target_info instance=i job=info k8s_pod_name=p service_instance_id=i service_name=info',
  ]);
});

test('classic histograms are families of buckets, sum and count', async () => {
  const { send, view } = await stored;
  const histogram = (seconds: number, counts: readonly number[], sum?: number | 'NaN'): object =>
    point(seconds, {
      count: String(counts.reduce((total, count) => total + count, 0)),
      ...(sum === undefined ? {} : { sum }),
      bucketCounts: counts.map(String),
      explicitBounds: [0.1, 5],
    });
  await send([
    {
      name: 'latency',
      unit: 's',
      histogram: {
        aggregationTemporality: CUMULATIVE,
        dataPoints: [histogram(1, [1, 2, 3], 9.5), histogram(2, [2, 2, 4])],
      },
    },
  ]);
  assert.deepEqual(shown(await select(view, named('latency_seconds_bucket'))), {
    '__name__=latency_seconds_bucket le=0.1': '1:1 2:2',
    '__name__=latency_seconds_bucket le=5': '1:3 2:4',
    '__name__=latency_seconds_bucket le=+Inf': '1:6 2:8',
  });
  assert.deepEqual(shown(await select(view, named('latency_seconds_sum'))), {
    '__name__=latency_seconds_sum': '1:9.5',
  });
  assert.deepEqual(shown(await select(view, named('latency_seconds_count'))), {
    '__name__=latency_seconds_count': '1:6 2:8',
  });
  await send([
    {
      name: 'odd',
      histogram: {
        aggregationTemporality: CUMULATIVE,
        dataPoints: [histogram(1, [1, 0, 0], 'NaN'), histogram(2, [1, 0, 0])],
      },
    },
  ]);
  assert.deepEqual(shown(await select(view, named('odd_sum'))), { '__name__=odd_sum': '1:NaN' });
  const matchers: LabelMatcher[] = [
    ...named('latency_seconds_bucket'),
    { name: 'le', operator: '=~', value: '5|.*Inf' },
  ];
  assert.equal((await select(view, matchers)).length, 2);
});

test('summaries are quantiles, sum and count', async () => {
  const { send, view } = await stored;
  const quantileValues = [
    { quantile: 0.5, value: 3 },
    { quantile: 0.99, value: 8 },
  ];
  await send([{ name: 's', summary: { dataPoints: [point(1, { count: '4', sum: 12, quantileValues })] } }]);
  assert.deepEqual(shown(await select(view, [{ name: '__name__', operator: '=~', value: 's.*' }])), {
    '__name__=s quantile=0.5': '1:3',
    '__name__=s quantile=0.99': '1:8',
    '__name__=s_sum': '1:12',
    '__name__=s_count': '1:4',
  });
});

test('exponential histograms are native ones, finer scales merged down', async () => {
  const { send, view } = await stored;
  const exponential = (seconds: number, scale: number, counts: readonly number[]): object =>
    point(seconds, {
      scale,
      count: String(counts.reduce((total, count) => total + count, 1)),
      sum: 5,
      zeroCount: '1',
      positive: { offset: -1, bucketCounts: counts.map(String) },
    });
  await send([
    {
      name: 'e',
      exponentialHistogram: {
        aggregationTemporality: CUMULATIVE,
        dataPoints: [
          exponential(1, 0, [1, 0, 2]),
          exponential(2, 0, [1, 1, 2]),
          exponential(3, 10, [1, 1, 1, 1, 1]),
          exponential(4, -6, [1]),
        ],
      },
    },
  ]);
  const [series] = await select(view, named('e'));
  assert.deepEqual([...series!.histograms.timesMs], [1000, 2000, 3000]);
  const [first, second, third] = histogramsOf(series!.histograms.values);
  assert.deepEqual([...first!.positive.indexes], [0, 2]);
  assert.deepEqual([...first!.positive.counts], [1, 2]);
  assert.deepEqual([first!.zeroCount, first!.zeroThreshold, first!.count, first!.sum], [1, 1e-128, 4, 5]);
  assert.deepEqual(
    [first!.counterReset, second!.counterReset, third!.counterReset],
    ['unknown', 'not_reset', 'unknown'],
  );
  assert.equal(third!.schema, 8);
  assert.deepEqual([...third!.positive.indexes], [0, 1]);
  assert.deepEqual([...third!.positive.counts], [1, 4]);
});

test('changes are added up from the first one that is stored, whatever range is asked for', async () => {
  const { send, view } = await stored;
  const sum = (points: readonly object[]): object => ({
    name: 'd',
    sum: { aggregationTemporality: DELTA, isMonotonic: true, dataPoints: points },
  });
  await send([sum([point(10, { asInt: '1' }), point(20, { asInt: '2' })])]);
  await send([sum([point(30, { asInt: '4' })])]);
  assert.deepEqual(shown(await select(view, named('d_total'))), { '__name__=d_total': '10:1 20:3 30:7' });
  assert.deepEqual(shown(await select(view, named('d_total'), { fromMs: 20_000 })), {
    '__name__=d_total': '20:3 30:7',
  });
});

test('points without a recorded value end their series', async () => {
  const { send, view } = await stored;
  await send([
    {
      name: 'ended',
      gauge: { dataPoints: [point(1, { asInt: '1' }), point(2, { flags: 1 }), point(3, { asInt: '2' })] },
    },
  ]);
  assert.deepEqual(shown(await select(view, named('ended'))), { '__name__=ended': '1:1 2:stale 3:2' });
});

test('points of classic histograms without a recorded value end the series of the parts that they have', async () => {
  const { send, view } = await stored;
  const explicitBounds = [1, 5];
  const dataPoints = [
    point(1, { count: '3', sum: 4, bucketCounts: ['1', '1', '1'], explicitBounds }),
    point(2, { count: '0', flags: 1, bucketCounts: ['0', '0'], explicitBounds: [1] }),
  ];
  await send([{ name: 'ends', histogram: { aggregationTemporality: CUMULATIVE, dataPoints } }]);
  assert.deepEqual(shown(await select(view, [{ name: '__name__', operator: '=~', value: 'ends_.*' }])), {
    '__name__=ends_bucket le=+Inf': '1:3 2:stale',
    '__name__=ends_bucket le=1': '1:1 2:stale',
    '__name__=ends_bucket le=5': '1:2',
    '__name__=ends_sum': '1:4',
    '__name__=ends_count': '1:3 2:stale',
  });
});

test('stored series with the same labels are one, by time', async () => {
  const { send, view } = await stored;
  await send([{ name: 'merged', gauge: { dataPoints: [point(1, { asInt: '1' }), point(4, { flags: 1 })] } }], {
    scope: { name: 'l', version: '1' },
  });
  await send([{ name: 'merged', gauge: { dataPoints: [point(3, { asInt: '3' }), point(2, { asInt: '2' })] } }], {
    scope: { name: 'l', version: '2' },
  });
  assert.deepEqual(shown(await select(view, named('merged'))), { '__name__=merged': '1:1 2:2 3:3 4:stale' });
});

test('matchers hold for names and labels as Prometheus has them, absent labels being empty', async () => {
  const { send, view } = await stored;
  await send([
    {
      name: 'm',
      gauge: {
        dataPoints: [
          point(2e6, { asInt: '1' }, { env: 'prod' }),
          point(2e6, { asInt: '2' }, { env: 'dev', x: 'y' }),
          point(2e6, { asInt: '3' }),
        ],
      },
    },
    { name: 'n', gauge: { dataPoints: [point(2e6, { asInt: '4' }, { env: 'prod' })] } },
  ]);
  const values = async (...matchers: [string, LabelMatcher['operator'], string][]): Promise<number[]> =>
    (
      await select(
        view,
        matchers.map(([name, operator, value]) => ({ name, operator, value })),
        { fromMs: 2e9, untilMs: 2e9 },
      )
    )
      .map(({ floats }) => floats.values[0]!)
      .sort((left, right) => left - right);
  assert.deepEqual(await values(['env', '=', 'prod']), [1, 4]);
  assert.deepEqual(await values(['env', '!=', 'prod']), [2, 3]);
  assert.deepEqual(await values(['env', '=', '']), [3]);
  assert.deepEqual(await values(['env', '=~', 'pr.*|'], ['__name__', '=', 'm']), [1, 3]);
  assert.deepEqual(await values(['env', '!~', 'pr.*']), [2, 3]);
  assert.deepEqual(await values(['__name__', '=~', '[mn]'], ['x', '!=', 'y']), [1, 3, 4]);
  assert.deepEqual(await values(['nothing', '=', 'here']), []);
});

test('series that come later are found by the next call', async () => {
  const { send, view } = await stored;
  assert.deepEqual(shown(await select(view, named('late'))), {});
  await send([{ name: 'late', gauge: { dataPoints: [point(1, { asInt: '1' }, { a: '1' })] } }]);
  assert.deepEqual(shown(await select(view, named('late'))), { '__name__=late a=1': '1:1' });
  await send([
    {
      name: 'late',
      gauge: { dataPoints: [point(2, { asInt: '1' }, { a: '2' }), point(3, { asInt: '5' }, { a: '1' })] },
    },
  ]);
  const calls = await Promise.all([
    select(view, named('late')),
    select(view, named('late')),
    select(view, named('late')),
  ]);
  for (const series of calls)
    assert.deepEqual(shown(series), { '__name__=late a=1': '1:1 3:5', '__name__=late a=2': '2:1' });
});

test('more points than asked for are an error and not a cut', async () => {
  const { send, view } = await stored;
  await send([
    {
      name: 'many',
      gauge: { dataPoints: [point(1, { asInt: '1' }), point(2, { asInt: '1' }), point(3, { asInt: '1' })] },
    },
  ]);
  await assert.rejects(select(view, named('many'), { samplesMax: 2 }), { code: 'TREASURY_QUERY_LIMIT' });
  assert.equal((await select(view, named('many'), { samplesMax: 3 })).length, 1);
});

test('series, names and values of labels are those with points in the range', async () => {
  const { send, view } = await stored;
  await send(
    [
      { name: 'old', gauge: { dataPoints: [point(1e6, { asInt: '1' }, { a: '1' })] } },
      { name: 'new', gauge: { dataPoints: [point(1e6 + 100, { asInt: '1' }, { a: '2', b: '3' })] } },
    ],
    { resource: { 'service.name': 'cart', zone: 'z' } },
  );
  const range = { selectors: [], fromMs: 1e9 + 50_000, untilMs: 1e9 + 200_000, limit: 0 };
  assert.deepEqual((await view.labelNames(range, NEVER)).items, ['__name__', 'a', 'b', 'job', 'zone']);
  assert.deepEqual((await view.labelValues('a', range, NEVER)).items, ['2']);
  assert.deepEqual((await view.labelValues('__name__', { ...range, fromMs: 1e9 }, NEVER)).items, [
    'new',
    'old',
    'target_info',
  ]);
  assert.deepEqual(await view.labelValues('__name__', { ...range, fromMs: 1e9, limit: 1 }, NEVER), {
    items: ['new'],
    isCut: true,
  });
  const selectors = [named('old'), named('new')];
  assert.deepEqual((await view.series({ ...range, fromMs: 1e9, selectors }, NEVER)).items.map(labelsText), [
    '__name__=new a=2 b=3 job=cart',
    '__name__=old a=1 job=cart',
  ]);
});

test('metadata tells types, units and descriptions by the names that queries use', async () => {
  const { send, view } = await stored;
  await send([
    { name: 'up.down', sum: { aggregationTemporality: CUMULATIVE, dataPoints: [point(1, { asInt: '1' })] } },
    {
      name: 'io',
      unit: 'By',
      description: 'Bytes moved',
      sum: { aggregationTemporality: DELTA, isMonotonic: true, dataPoints: [point(1, { asInt: '1' })] },
    },
  ]);
  const all = await view.metadata({ metric: undefined, metricsMax: 1000, perMetricMax: 10 }, NEVER);
  assert.deepEqual(all.get('up_down'), [{ type: 'gauge', unit: '', help: '' }]);
  const one = await view.metadata({ metric: 'io_bytes_total', metricsMax: 1000, perMetricMax: 10 }, NEVER);
  assert.deepEqual(Object.fromEntries(one), {
    io_bytes_total: [{ type: 'counter', unit: 'bytes', help: 'Bytes moved' }],
  });
});

test('exemplars of counters and of the buckets that they fall into carry their trace', async () => {
  const { send, view } = await stored;
  const exemplars = [
    {
      timeUnixNano: nanos(1),
      asDouble: 3,
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: '00f067aa0ba902b7',
      filteredAttributes: otlpAttributes({ k: 'v', trace_id: 'lost' }),
    },
  ];
  await send([
    {
      name: 'c',
      sum: { aggregationTemporality: CUMULATIVE, isMonotonic: true, dataPoints: [point(1, { asInt: '1', exemplars })] },
    },
    { name: 'g', gauge: { dataPoints: [point(1, { asInt: '1', exemplars })] } },
    {
      name: 'h',
      histogram: {
        aggregationTemporality: CUMULATIVE,
        dataPoints: [
          point(1, { count: '2', sum: 1, bucketCounts: ['1', '1', '0'], explicitBounds: [1, 5], exemplars }),
        ],
      },
    },
  ]);
  const selectors = [[{ name: '__name__', operator: '=~' as const, value: 'c_total|g|h_.*' }]];
  const found = await view.exemplars({ selectors, fromMs: 0, untilMs: 5000, limit: 0 }, NEVER);
  assert.deepEqual(
    found.map(({ labels, exemplars: of }) => [
      labelsText(labels),
      of.map(({ labels: own, value, timeMs }) => `${labelsText(own)} ${value} ${timeMs}`),
    ]),
    [
      ['__name__=c_total', ['k=v span_id=00f067aa0ba902b7 trace_id=0af7651916cd43dd8448eb211c80319c 3 1000']],
      ['__name__=h_bucket le=5', ['k=v span_id=00f067aa0ba902b7 trace_id=0af7651916cd43dd8448eb211c80319c 3 1000']],
    ],
  );
});
