import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  CUSTOM_BUCKETS_SCHEMA,
  type FloatHistogram,
  type SparseBuckets,
} from '../../src/api/query/promql/histogram.ts';
import { ExportMetricsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import {
  AggregationTemporality,
  type ExponentialHistogramDataPointSchema,
  type HistogramDataPointSchema,
  type MetricSchema,
  type NumberDataPointSchema,
} from '../gen/opentelemetry/proto/metrics/v1/metrics_pb.js';
import type { LoadedSeries, ScriptSample } from './script.ts';
import { isStaleNumber } from './stale-number.ts';

type Metric = MessageInitShape<typeof MetricSchema>;
type NumberPoint = MessageInitShape<typeof NumberDataPointSchema>;
type ExponentialPoint = MessageInitShape<typeof ExponentialHistogramDataPointSchema>;
type ClassicPoint = MessageInitShape<typeof HistogramDataPointSchema>;

/** The bit of a data point's flags that ends a series. */
const NO_RECORDED_VALUE = 1;

/** What becomes the labels job and instance of all series of a resource. */
const JOB_KEY = 'service.name';
const INSTANCE_KEY = 'service.instance.id';

interface ResourceSeries {
  readonly job: string;
  readonly instance: string;
  readonly series: LoadedSeries[];
}

/**
 * A request (protobuf) with metrics that become these series again where names are not translated: samples are gauges, or sums where the name is one of a counter;
 * native histograms are exponential ones, or classic ones where their buckets are custom; ends of series are points without a value; job and instance are those of a resource. `extra` is one more attribute of
 * every point. All series must be sayable (`otlp-sayable.ts`).
 */
export function otlpRequest(series: readonly LoadedSeries[], extra: readonly [key: string, value: string]): Uint8Array {
  const byResource = new Map<string, ResourceSeries>();
  for (const one of series) {
    const [job, instance] = [one.labels.get('job'), one.labels.get('instance')];
    const key = JSON.stringify([job, instance]);
    const resource = byResource.get(key) ?? { job, instance, series: [] };
    byResource.set(key, resource);
    resource.series.push(one);
  }
  const resourceMetrics = [...byResource.values()].map(({ job, instance, series: own }) => ({
    resource: {
      attributes: [
        ...(job === '' ? [] : [attribute(JOB_KEY, job)]),
        ...(instance === '' ? [] : [attribute(INSTANCE_KEY, instance)]),
      ],
    },
    scopeMetrics: [{ metrics: own.flatMap((one) => metricsOf(one, extra)) }],
  }));
  return toBinary(ExportMetricsServiceRequestSchema, create(ExportMetricsServiceRequestSchema, { resourceMetrics }));
}

/** A metric of numbers, one of exponential histograms, one of classic histograms: those that there are points of. */
function metricsOf({ labels, samples }: LoadedSeries, extra: readonly [string, string]): Metric[] {
  const attributes = [...labels.pairs(), extra]
    .filter(([name]) => name !== '__name__' && name !== 'job' && name !== 'instance')
    .map(([name, value]) => attribute(name, value));
  const name = labels.get('__name__');
  const numbers: NumberPoint[] = [];
  const exponential: ExponentialPoint[] = [];
  const classic: ClassicPoint[] = [];
  let last: FloatHistogram | undefined;
  for (const sample of samples) {
    const { histogram, value } = sample;
    const isEnd = histogram === undefined && isStaleNumber(value);
    const common = { ...timesOf(sample), attributes, flags: isEnd ? NO_RECORDED_VALUE : 0 };
    // The end of a series is one of what it was before.
    if (!isEnd) last = histogram;
    if (last === undefined) numbers.push(isEnd ? common : { ...common, value: { case: 'asDouble', value } });
    else if (last.schema === CUSTOM_BUCKETS_SCHEMA) classic.push({ ...common, ...(isEnd ? {} : classicFields(last)) });
    else exponential.push({ ...common, ...(isEnd ? {} : exponentialFields(last)) });
  }
  const aggregationTemporality = AggregationTemporality.CUMULATIVE;
  const data: NonNullable<Metric['data']>[] = [];
  if (numbers.length > 0) data.push(numbersOf(name, numbers));
  if (exponential.length > 0)
    data.push({ case: 'exponentialHistogram', value: { aggregationTemporality, dataPoints: exponential } });
  if (classic.length > 0) data.push({ case: 'histogram', value: { aggregationTemporality, dataPoints: classic } });
  return data.map((one) => ({ name, data: one }));
}

function numbersOf(name: string, dataPoints: NumberPoint[]): NonNullable<Metric['data']> {
  if (!name.endsWith('_total')) return { case: 'gauge', value: { dataPoints } };
  const aggregationTemporality = AggregationTemporality.CUMULATIVE;
  return { case: 'sum', value: { aggregationTemporality, isMonotonic: true, dataPoints } };
}

function timesOf({ timeMs, startTimeMs }: ScriptSample): { timeUnixNano: bigint; startTimeUnixNano: bigint } {
  return { timeUnixNano: BigInt(timeMs) * 1_000_000n, startTimeUnixNano: BigInt(startTimeMs) * 1_000_000n };
}

function exponentialFields(histogram: FloatHistogram): ExponentialPoint {
  const { schema, count, sum, zeroCount, zeroThreshold, positive, negative } = histogram;
  return {
    count: BigInt(count),
    sum,
    scale: schema,
    zeroCount: BigInt(zeroCount),
    zeroThreshold,
    positive: bucketsOf(positive),
    negative: bucketsOf(negative),
  };
}

/** All buckets are there, and one more than bounds. */
function classicFields({ count, sum, positive, customValues }: FloatHistogram): ClassicPoint {
  const bucketCounts = Array.from({ length: customValues.length + 1 }, () => 0n);
  positive.indexes.forEach((index, at) => {
    bucketCounts[index] = BigInt(positive.counts[at]!);
  });
  return { count: BigInt(count), sum, explicitBounds: [...customValues], bucketCounts };
}

/** Prometheus' bucket i + 1 is OpenTelemetry's bucket i, and all between the first and the last are there. */
function bucketsOf({ indexes, counts }: SparseBuckets): { offset: number; bucketCounts: bigint[] } {
  if (indexes.length === 0) return { offset: 0, bucketCounts: [] };
  const first = indexes[0]!;
  const bucketCounts = Array.from({ length: indexes.at(-1)! - first + 1 }, () => 0n);
  indexes.forEach((index, at) => {
    bucketCounts[index - first] = BigInt(counts[at]!);
  });
  return { offset: first - 1, bucketCounts };
}

function attribute(key: string, value: string) {
  return { key, value: { value: { case: 'stringValue' as const, value } } };
}
