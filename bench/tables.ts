/**
 * What the file of tables takes a sample, after settling, and of it the blocks that hold rows: counters of integers and of decimals as
 * scrapes of many series, and small metrics of an SDK in random order, each
 * sent to a server of its own.
 *
 *   npm run build && npm run bench:tables [-- --loads integers,decimals]
 */
import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { create, toBinary } from '@bufbuild/protobuf';
import { ExportMetricsServiceRequestSchema } from '../test/gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { seededRandom } from '../test/helpers/random.ts';
import { machine, materialized, root, startServer } from './process.ts';
import { storedBytes } from './table-bytes.ts';

const TARGET_BYTES = 6;
const MS_PER_SCRAPE = 15_000;
const REQUEST_POINTS = 1_000;
const SDK_METRICS = 300;
const START_MS = 1_750_000_000_000;

interface Load {
  readonly samples: number;
  bodies(): Iterable<Uint8Array>;
}

const LOADS: Readonly<Record<string, Load>> = {
  'integers, 1,000 series x 500': scrapes(1_000, 500, true),
  'decimals, 1,000 series x 500': scrapes(1_000, 500, false),
  'integers, 10,000 series x 240': scrapes(10_000, 240, true),
  'decimals, 10,000 series x 240': scrapes(10_000, 240, false),
  'SDK, 300 metrics a request in random order x 500': sdk(500),
};

const { values: flags } = parseArgs({ options: { loads: { type: 'string', default: '' } } });
const wanted = flags.loads.split(',');
console.log(machine());
for (const [name, load] of Object.entries(LOADS)) {
  if (wanted.some((part) => name.includes(part))) await measure(name, load);
}

async function measure(name: string, load: Load): Promise<void> {
  const data = mkdtempSync(join(root, 'treasury-data-bench-'));
  try {
    const server = await startServer([], data);
    for (const body of load.bodies()) {
      const headers = { 'content-type': 'application/x-protobuf' };
      const response = await fetch(`http://${server.otlpHttp}/v1/metrics`, { method: 'POST', headers, body });
      if (!response.ok) throw new Error(`The server answered ${response.status}: ${await response.text()}`);
      await response.arrayBuffer();
    }
    await materialized(server);
    await server.stop();
    const file = join(data, 'tables', 'treasury.duckdb');
    tell(name, load.samples, statSync(file).size, await storedBytes(file));
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

function tell(name: string, samples: number, fileBytes: number, tables: Awaited<ReturnType<typeof storedBytes>>): void {
  const all = fileBytes / samples;
  const inRows = tables.reduce((sum, { bytes }) => sum + bytes, 0) / samples;
  console.log(
    `${name}: ${all.toFixed(2)} bytes a sample ${all <= TARGET_BYTES ? 'ok' : `MISSES ${TARGET_BYTES}`}, ${inRows.toFixed(2)} of them rows`,
  );
  for (const { table, rows, bytes, columns } of tables) {
    if (bytes < samples / 20) continue;
    const each = columns.map(([column, size]) => `${column} ${(size / samples).toFixed(2)}`).join(', ');
    console.log(`  ${table}, ${rows} rows: ${(bytes / samples).toFixed(2)} (${each})`);
  }
}

/** One monotonic counter, scraped: every series at the same time, in the same order. */
function scrapes(series: number, count: number, isInteger: boolean): Load {
  return {
    samples: series * count,
    *bodies() {
      const random = seededRandom(7);
      const values = Array.from({ length: series }, () => random.below(1_000));
      for (let scrape = 0; scrape < count; scrape++) {
        for (let first = 0; first < series; first += REQUEST_POINTS) {
          const dataPoints = Array.from({ length: Math.min(REQUEST_POINTS, series - first) }, (_, at) => {
            values[first + at]! += random.below(50);
            const value = values[first + at]!;
            return point(scrape, isInteger ? value : value * 1.25, isInteger, { instance: `i-${first + at}` });
          });
          yield requestOf([counter('http_requests_total', dataPoints)]);
        }
      }
    },
  };
}

/** What an SDK exports: metrics of one to three points each, in another order each time. */
function sdk(count: number): Load {
  const pointsOf = (metric: number): number => 1 + (metric % 3);
  const points = Array.from({ length: SDK_METRICS }, (_, metric) => pointsOf(metric)).reduce(
    (sum, one) => sum + one,
    0,
  );
  return {
    samples: points * count,
    *bodies() {
      const random = seededRandom(8);
      const order = Array.from({ length: SDK_METRICS }, (_, metric) => metric);
      for (let round = 0; round < count; round++) {
        for (let at = order.length - 1; at > 0; at--) {
          const other = random.below(at + 1);
          [order[at], order[other]] = [order[other]!, order[at]!];
        }
        yield requestOf(
          order.map((metric) =>
            counter(
              `metric.${metric}`,
              Array.from({ length: pointsOf(metric) }, (_, at) =>
                point(round, (round + 1) * (metric + 3 * at + 1), true, { kind: `k${at}` }),
              ),
            ),
          ),
        );
      }
    },
  };
}

type DataPoint = ReturnType<typeof point>;

function point(scrape: number, value: number, isInteger: boolean, attributes: Readonly<Record<string, string>>) {
  return {
    startTimeUnixNano: BigInt(START_MS) * 1_000_000n,
    timeUnixNano: BigInt(START_MS + scrape * MS_PER_SCRAPE) * 1_000_000n,
    value: isInteger ? { case: 'asInt' as const, value: BigInt(value) } : { case: 'asDouble' as const, value },
    attributes: pairs(attributes),
  };
}

function counter(name: string, dataPoints: readonly DataPoint[]) {
  return {
    name,
    unit: '1',
    data: {
      case: 'sum' as const,
      value: { aggregationTemporality: 2, isMonotonic: true, dataPoints: [...dataPoints] },
    },
  };
}

function requestOf(metrics: readonly ReturnType<typeof counter>[]): Uint8Array<ArrayBuffer> {
  const resource = { attributes: pairs({ 'service.name': 'bench', 'service.instance.id': 'bench-0' }) };
  const request = create(ExportMetricsServiceRequestSchema, {
    resourceMetrics: [{ resource, scopeMetrics: [{ scope: { name: 'bench' }, metrics: [...metrics] }] }],
  });
  return Buffer.from(toBinary(ExportMetricsServiceRequestSchema, request));
}

function pairs(attributes: Readonly<Record<string, string>>) {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: { value: { case: 'stringValue' as const, value } },
  }));
}
