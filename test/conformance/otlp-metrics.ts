import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { FloatHistogram, SparseBuckets } from '../../src/api/query/promql/histogram.ts';
import { ExportMetricsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import {
  AggregationTemporality,
  type ExponentialHistogramDataPointSchema,
  type MetricSchema,
  type NumberDataPointSchema,
} from '../gen/opentelemetry/proto/metrics/v1/metrics_pb.js';
import type { LoadedSeries, ScriptSample } from './script.ts';
import { isStaleNumber } from './stale-number.ts';

type Metric = MessageInitShape<typeof MetricSchema>;
type NumberPoint = MessageInitShape<typeof NumberDataPointSchema>;
type HistogramPoint = MessageInitShape<typeof ExponentialHistogramDataPointSchema>;

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
 * native histograms are exponential ones; ends of series are points without a value; job and instance are those of a resource. `extra` is one more attribute of
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

/** A metric of numbers, one of histograms, or both. */
function metricsOf({ labels, samples }: LoadedSeries, extra: readonly [string, string]): Metric[] {
  const attributes = [...labels.pairs(), extra]
    .filter(([name]) => name !== '__name__' && name !== 'job' && name !== 'instance')
    .map(([name, value]) => attribute(name, value));
  const name = labels.get('__name__');
  const numbers: NumberPoint[] = [];
  const histograms: HistogramPoint[] = [];
  let isHistogram = false;
  for (const sample of samples) {
    const isEnd = sample.histogram === undefined && isStaleNumber(sample.value);
    // The end of a series is one of what it was before.
    if (!isEnd) isHistogram = sample.histogram !== undefined;
    const common = { ...timesOf(sample), attributes, flags: isEnd ? NO_RECORDED_VALUE : 0 };
    if (isHistogram) histograms.push({ ...common, ...(sample.histogram && histogramFields(sample.histogram)) });
    else numbers.push(isEnd ? common : { ...common, value: { case: 'asDouble', value: sample.value } });
  }
  const metrics: Metric[] = [];
  if (numbers.length > 0) metrics.push({ name, data: numbersOf(name, numbers) });
  if (histograms.length > 0) {
    const value = { aggregationTemporality: AggregationTemporality.CUMULATIVE, dataPoints: histograms };
    metrics.push({ name, data: { case: 'exponentialHistogram', value } });
  }
  return metrics;
}

function numbersOf(name: string, dataPoints: NumberPoint[]): NonNullable<Metric['data']> {
  if (!name.endsWith('_total')) return { case: 'gauge', value: { dataPoints } };
  const aggregationTemporality = AggregationTemporality.CUMULATIVE;
  return { case: 'sum', value: { aggregationTemporality, isMonotonic: true, dataPoints } };
}

function timesOf({ timeMs, startTimeMs }: ScriptSample): { timeUnixNano: bigint; startTimeUnixNano: bigint } {
  return { timeUnixNano: BigInt(timeMs) * 1_000_000n, startTimeUnixNano: BigInt(startTimeMs) * 1_000_000n };
}

function histogramFields(histogram: FloatHistogram): HistogramPoint {
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
