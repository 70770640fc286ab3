/**
 * Metrics as OTLP requests, made up: the same ones at every run. A request has one metric of one service at one time, as collectors send them; the points' attributes are
 * encoded once, times and values for each request.
 */
import { Buffer } from 'node:buffer';

const MS_PER_POINT = 15_000;
const NS_PER_MS = 1_000_000n;
/** Points of one request: what batching collectors send at most. */
const REQUEST_POINTS = 1_000;

export interface BenchMetric {
  /** As PromQL names it. */
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram' | 'native';
  readonly series: number;
  /** Points of each series, one every 15 s; the last one lies at the end of the data. */
  readonly points: number;
}

/** The points of one metric at one time, in requests. `round` counts the metric's own. */
export function* requestsAt(metric: BenchMetric, timeMs: number, round: number): Generator<Buffer> {
  for (let first = 0; first < metric.series; first += REQUEST_POINTS) yield request(metric, first, { timeMs, round });
}

/** All requests of some metrics, those of one time together, in order of time: each metric ends at `endMs`. */
export function* requestsOf(metrics: readonly BenchMetric[], endMs: number): Generator<Iterable<Buffer>> {
  for (let left = Math.max(...metrics.map(({ points }) => points)); left > 0; left--)
    yield atOneTime(metrics, endMs, left);
}

function* atOneTime(metrics: readonly BenchMetric[], endMs: number, left: number): Generator<Buffer> {
  for (const metric of metrics) {
    if (metric.points >= left) yield* requestsAt(metric, endMs - (left - 1) * MS_PER_POINT, metric.points - left);
  }
}

/** Samples that Prometheus makes of a metric: a classic histogram is one for each bucket, its sum and its count. */
export function samplesOf({ kind, series, points }: BenchMetric): number {
  return series * points * (kind === 'histogram' ? BOUNDS.length + 3 : 1);
}

interface Moment {
  readonly timeMs: number;
  readonly round: number;
}

const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const CUMULATIVE = 2;
/** Exponential buckets in use by one series, at scale 3. */
const NATIVE_BUCKETS = 40;

function request({ name, kind, series }: BenchMetric, first: number, moment: Moment): Buffer {
  const points: Buffer[] = [];
  for (let at = first; at < Math.min(series, first + REQUEST_POINTS); at++) points.push(point(name, kind, at, moment));
  const list = points.map((bytes) => message(1, bytes));
  const temporality = varintField(2, CUMULATIVE);
  const data = {
    counter: () => message(7, Buffer.concat([...list, temporality, varintField(3, 1)])),
    gauge: () => message(5, Buffer.concat(list)),
    histogram: () => message(9, Buffer.concat([...list, temporality])),
    native: () => message(10, Buffer.concat([...list, temporality])),
  }[kind]();
  const metric = Buffer.concat([text(1, kind === 'counter' ? name.replace(/_total$/, '') : name), data]);
  const scope = message(2, Buffer.concat([message(1, text(1, 'bench')), message(2, metric)]));
  const service = `service-${Math.floor(first / REQUEST_POINTS) % 10}`;
  const resource = message(
    1,
    Buffer.concat([attribute(1, 'service.name', service), attribute(1, 'service.instance.id', `${service}-0`)]),
  );
  return message(1, Buffer.concat([resource, scope]));
}

function point(name: string, kind: BenchMetric['kind'], series: number, { timeMs, round }: Moment): Buffer {
  const startMs = timeMs - (round + 1) * MS_PER_POINT;
  const times = Buffer.concat([fixed64(2, BigInt(startMs) * NS_PER_MS), fixed64(3, BigInt(timeMs) * NS_PER_MS)]);
  // Grows by another amount in each series (rates that are equal have no order), and not evenly.
  const count = (round + 1) * (10 + (series % 17) + series / 100_000) + ((round * 7 + series) % 5);
  switch (kind) {
    case 'counter':
      return Buffer.concat([attributes(name, 7, series), times, double(4, count * 1.25)]);
    case 'gauge':
      return Buffer.concat([attributes(name, 7, series), times, double(4, ((round * 31 + series * 17) % 1000) / 8)]);
    case 'histogram': {
      const buckets = Buffer.alloc((BOUNDS.length + 1) * 8);
      let total = 0n;
      for (let at = 0; at <= BOUNDS.length; at++) {
        const inBucket = BigInt((round + 1) * ((at * 5 + series) % 7));
        buckets.writeBigUInt64LE(inBucket, at * 8);
        total += inBucket;
      }
      const bounds = Buffer.concat(BOUNDS.map(doubleBytes));
      return Buffer.concat([
        attributes(name, 9, series),
        times,
        fixed64(4, total),
        double(5, Number(total) * 0.3),
        message(6, buckets),
        message(7, bounds),
      ]);
    }
    case 'native': {
      const counts: Buffer[] = [];
      let total = 0;
      for (let at = 0; at < NATIVE_BUCKETS; at++) {
        const inBucket = (round + 1) * ((at * 3 + series) % 11);
        counts.push(varint(inBucket));
        total += inBucket;
      }
      const offset = (series % 8) - 30;
      const buckets = Buffer.concat([varintField(1, zigzag(offset)), message(2, Buffer.concat(counts))]);
      return Buffer.concat([
        attributes(name, 1, series),
        times,
        fixed64(4, BigInt(total + round + 1)),
        double(5, total * 0.3),
        varintField(6, zigzag(3)),
        fixed64(7, BigInt(round + 1)),
        message(8, buckets),
      ]);
    }
  }
}

const encodedAttributes = new Map<string, Buffer[]>();

/** Labels of a series: few methods and codes, some routes, a pod of its own. */
function attributes(name: string, field: number, series: number): Buffer {
  const ofMetric = encodedAttributes.get(name) ?? [];
  encodedAttributes.set(name, ofMetric);
  return (ofMetric[series] ??= Buffer.concat([
    attribute(field, 'method', ['GET', 'POST', 'PUT', 'DELETE'][series % 4]!),
    attribute(field, 'route', `/api/v1/route-${series % 50}`),
    attribute(field, 'code', ['200', '404', '500'][series % 3]!),
    attribute(field, 'pod', `pod-${series}`),
  ]));
}

function attribute(field: number, key: string, value: string): Buffer {
  return message(field, Buffer.concat([text(1, key), message(2, text(1, value))]));
}

function message(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

function text(field: number, value: string): Buffer {
  return message(field, Buffer.from(value));
}

function varintField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function fixed64(field: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = field * 8 + 1;
  bytes.writeBigUInt64LE(value, 1);
  return bytes;
}

function double(field: number, value: number): Buffer {
  return Buffer.concat([Buffer.of(field * 8 + 1), doubleBytes(value)]);
}

function doubleBytes(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}
