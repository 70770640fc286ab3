/** Decoders of the Prometheus API's answers that take nothing unknown and miss nothing. */
import assert from 'node:assert/strict';
import type { Answer } from './prometheus-server.ts';

/** The form of a value: throws where it differs. */
export type Form = (value: unknown, at: string) => void;

/** An answer with status 200 whose data has the form. */
export function assertSuccess({ status, headers, body, text }: Answer, data: Form): void {
  assert.equal(status, 200, text);
  assert.equal(headers.get('content-type'), 'application/json');
  object({ status: only('success'), data }, { warnings: list(string), infos: list(string) })(body, '$');
}

/** An error in the envelope, at one of the statuses whose JSON Grafana reads. */
export function assertFailure({ status, headers, body, text }: Answer, errorType: string): void {
  assert.equal(status, { bad_data: 400, execution: 422, timeout: 503, unavailable: 503 }[errorType], text);
  assert.equal(headers.get('content-type'), 'application/json');
  object({ status: only('error'), errorType: only(errorType), error: string })(body, '$');
}

export const string: Form = (value, at) => assert.equal(typeof value, 'string', at);
const number: Form = (value, at) => assert.ok(typeof value === 'number' && Number.isFinite(value), at);
const count: Form = (value, at) => assert.ok(Number.isInteger(value) && (value as number) >= 0, at);
/** Numbers as Prometheus writes them in strings. */
const sample: Form = (value, at) =>
  assert.match(String(value), /^(NaN|[+-]Inf|-?\d+(\.\d+)?(e[+-]\d{2,3})?)$/, `${at} is ${JSON.stringify(value)}`);

export function only(expected: unknown): Form {
  return (value, at) => assert.deepEqual(value, expected, at);
}

export function list(item: Form): Form {
  return (value, at) => {
    assert.ok(Array.isArray(value), at);
    for (const [index, each] of value.entries()) item(each, `${at}[${index}]`);
  };
}

export function object(needed: Readonly<Record<string, Form>>, optional: Readonly<Record<string, Form>> = {}): Form {
  return (value, at) => {
    const known: Readonly<Record<string, Form>> = { ...needed, ...optional };
    for (const name of Object.keys(needed)) assert.ok(Object.hasOwn(value as object, name), `${at} lacks ${name}`);
    for (const [name, each] of Object.entries(value as object)) {
      assert.ok(Object.hasOwn(known, name), `${at} has ${name}`);
      known[name]!(each, `${at}.${name}`);
    }
  };
}

export function mapOf(item: Form): Form {
  return (value, at) => {
    assert.ok(typeof value === 'object' && value !== null && !Array.isArray(value), at);
    for (const [name, each] of Object.entries(value)) item(each, `${at}.${name}`);
  };
}

function tuple(...items: readonly Form[]): Form {
  return (value, at) => {
    assert.ok(Array.isArray(value) && value.length === items.length, at);
    for (const [index, item] of items.entries()) item(value[index], `${at}[${index}]`);
  };
}

function oneOf(forms: Readonly<Record<string, Form>>, kindOf: (value: never) => string): Form {
  return (value, at) => {
    const form = forms[kindOf(value as never)];
    assert.ok(form !== undefined, `${at} is of an unknown kind`);
    form(value, at);
  };
}

const bucket: Form = tuple((rule, at) => assert.ok([0, 1, 2, 3].includes(rule as number), at), sample, sample, sample);
const histogram: Form = object({ count: sample, sum: sample }, { buckets: list(bucket) });
const metric: Form = mapOf(string);

const element: Form = oneOf(
  {
    value: object({ metric, value: tuple(number, sample) }),
    histogram: object({ metric, histogram: tuple(number, histogram) }),
  },
  (value: object) => ('histogram' in value ? 'histogram' : 'value'),
);

/** Never empty. */
function points(value: Form): Form {
  return (all, at) => {
    list(tuple(number, value))(all, at);
    const times = (all as [number][]).map(([time]) => time);
    assert.ok(times.length > 0 && times.every((time, index) => index === 0 || time > times[index - 1]!), at);
  };
}

const series: Form = oneOf(
  {
    values: object({ metric, values: points(sample) }),
    histograms: object({ metric, histograms: points(histogram) }),
    both: object({ metric, values: points(sample), histograms: points(histogram) }),
  },
  (value: object) => ('values' in value ? ('histograms' in value ? 'both' : 'values') : 'histograms'),
);

const seconds: Form = (value, at) => assert.ok(typeof value === 'number' && value >= 0, at);
const stats: Form = object({
  timings: object({ evalTotalTime: seconds, execQueueTime: seconds, execTotalTime: seconds }),
  samples: object({ totalQueryableSamples: count, peakSamples: count }),
});

/** `data` of queries, of the type that is named. */
export function queryData(type: 'vector' | 'matrix' | 'scalar' | 'string'): Form {
  const result = {
    vector: list(element),
    matrix: list(series),
    scalar: tuple(number, sample),
    string: tuple(number, string),
  }[type];
  return object({ resultType: only(type), result }, { stats });
}

export const exemplarsData: Form = list(
  object({ seriesLabels: metric, exemplars: list(object({ labels: metric, value: sample, timestamp: number })) }),
);
export const labelSets: Form = list(metric);
export const texts: Form = list(string);
export const metadataData: Form = mapOf(
  list(
    object({
      type: (value, at) =>
        assert.ok(['counter', 'gauge', 'histogram', 'summary', 'unknown'].includes(value as string), at),
      unit: string,
      help: string,
    }),
  ),
);
const namedCounts: Form = list(object({ name: string, value: count }));
export const cardinalityData: Form = object({
  headStats: object({ numSeries: count, numLabelPairs: count }),
  seriesCountByMetricName: namedCounts,
  labelValueCountByLabelName: namedCounts,
  memoryInBytesByLabelName: namedCounts,
  seriesCountByLabelValuePair: namedCounts,
});
export const buildData: Form = object({
  version: string,
  revision: string,
  branch: string,
  buildUser: string,
  buildDate: string,
  goVersion: string,
  application: string,
  applicationVersion: string,
});
