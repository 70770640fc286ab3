/**
 * How fast OTLP requests become durable and queryable, and what that costs, by transport and encoding. Every figure is a median of
 * rounds, each on a fresh data directory. The reference runs in the same rounds under the same load: the Go Collector's OTLP receiver
 * with a nop exporter, which stores nothing (COLLECTOR = path of a binary built by test/interop/build.sh).
 *
 *   npm run build && npm run bench:otlp [-- --rounds 3 --signals logs,traces,metrics]
 *
 * The load is that of bench/ingest.ts (the shared captures bench-*-1), written as OTLP: 1,000 rows a request.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { withCollector } from './collector.ts';
import type { OtlpLoadOptions, OtlpLoadResult } from './otlp-load.ts';
import { writeRequests } from './otlp-request-file.ts';
import { otlpRequests } from './otlp-requests.ts';
import { machine, materialized, median, runJson, type Server, sql, startServer } from './process.ts';

const SIGNALS = {
  logs: { capture: 'bench-logs-1', durableTarget: 150_000, queryableTarget: 100_000 },
  traces: { capture: 'bench-traces-1', durableTarget: 0, queryableTarget: 0 },
  metrics: { capture: 'bench-metrics-1', durableTarget: 0, queryableTarget: 0 },
} as const;
type SignalName = keyof typeof SIGNALS;

/** The rows that a signal has in the tables. */
const COUNTS: Readonly<Record<SignalName, string>> = {
  logs: 'SELECT count(*) FROM logs',
  traces: 'SELECT count(*) FROM spans',
  metrics: 'SELECT (SELECT count(*) FROM samples) + (SELECT count(*) FROM histograms)',
};

/** How exporters send: gzip is the default of the Collector and of most SDKs, zstd what a downgraded Arrow exporter speaks. */
const WAYS = [
  { transport: 'grpc', encoding: 'gzip' },
  { transport: 'grpc', encoding: 'zstd' },
  { transport: 'grpc', encoding: 'identity' },
  { transport: 'http', encoding: 'gzip' },
  { transport: 'http', encoding: 'zstd' },
  { transport: 'http', encoding: 'identity' },
] as const;
type Way = (typeof WAYS)[number];

const IN_FLIGHT = 16;
/** Times that the 80 to 130 requests of a capture are sent in one round. */
const DURABLE_REPEATS = 10;
const QUERYABLE_REPEATS = 6;
const COLLECTOR_REPEATS = 4;
/** Before the clock of an intake round starts, of both sides: what compiling and first growth cost is not a cost of each row. */
const WARM_UP_REPEATS = 4;

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, signals: { type: 'string', default: 'logs,traces,metrics' } },
});
const rounds = Number(flags.rounds);

console.log(machine());
const directory = mkdtempSync(join(tmpdir(), 'treasury-bench-'));
try {
  for (const name of flags.signals.split(',') as SignalName[]) {
    writeRequests(requestsOf(name), await otlpRequests(SIGNALS[name].capture));
    await measureSignal(name);
  }
} finally {
  rmSync(directory, { recursive: true });
}

interface Figures {
  readonly rate: number;
  readonly cpu: number;
  readonly p50: number;
  readonly p99: number;
  readonly rss: number;
}

/** The rounds of all ways are interleaved: what slows the machine down for a while slows all of them. */
async function measureSignal(name: SignalName): Promise<void> {
  const durable = new Map<Way, Figures[]>(WAYS.map((way) => [way, []]));
  const queryable = new Map<Way, Figures[]>(WAYS.map((way) => [way, []]));
  const reference = new Map<Way, number[]>(WAYS.map((way) => [way, []]));
  for (let round = 0; round < rounds; round++) {
    for (const way of WAYS) {
      durable.get(way)!.push(await durableRound(name, way));
      queryable.get(way)!.push(await queryableRound(name, way));
      const cpu = await collectorCpuPerRow(name, way);
      if (cpu !== undefined) reference.get(way)!.push(cpu);
    }
  }
  const { durableTarget, queryableTarget } = SIGNALS[name];
  const grpcRates = new Map<string, number>();
  for (const way of WAYS) {
    const of = (figures: readonly Figures[], pick: (figure: Figures) => number) => median(figures.map(pick));
    const taken = durable.get(way)!;
    const shown = queryable.get(way)!;
    const rate = of(taken, ({ rate: each }) => each);
    const cpu = of(taken, ({ cpu: each }) => each);
    const queryableCpu = of(shown, ({ cpu: each }) => each);
    const go = median(reference.get(way)!);
    if (way.transport === 'grpc') grpcRates.set(way.encoding, rate);
    const beside =
      way.transport === 'grpc' ? '' : `, ${(rate / grpcRates.get(way.encoding)!).toFixed(2)} x gRPC (target 0.80)`;
    console.log(
      `${name} ${way.transport} ${way.encoding} durable: ${k(rate)} rows/s${target(durableTarget)}, ${cpu.toFixed(2)} us CPU a row${beside}; ` +
        `ack p50 ${of(taken, ({ p50 }) => p50).toFixed(1)} ms, p99 ${of(taken, ({ p99 }) => p99).toFixed(1)} ms`,
    );
    console.log(
      `${name} ${way.transport} ${way.encoding} queryable: ${k(of(shown, ({ rate: each }) => each))} rows/s${target(queryableTarget)}, ` +
        `${queryableCpu.toFixed(2)} us CPU a row, peak RSS ${(of(shown, ({ rss }) => rss) / 2 ** 20).toFixed(0)} MiB`,
    );
    console.log(
      Number.isNaN(go)
        ? `${name} ${way.transport} ${way.encoding} reference: no Go Collector (set COLLECTOR)`
        : `${name} ${way.transport} ${way.encoding} reference: Go Collector, stores nothing: ${go.toFixed(2)} us CPU a row; ` +
            `ratio durable ${(cpu / go).toFixed(2)}, queryable ${(queryableCpu / go).toFixed(2)}`,
    );
  }
  console.log(
    `${name}: ${DURABLE_REPEATS} repeats durable, ${QUERYABLE_REPEATS} queryable, ${IN_FLIGHT} requests in flight, ${rounds} rounds`,
  );
}

/** Intake alone: no materializer takes CPU from it, so the CPU figure is that of receiving, logging and answering. */
async function durableRound(name: SignalName, way: Way): Promise<Figures> {
  const server = await startServer(['--materialize', 'off']);
  await runLoad(endpointOf(server, way), name, way, WARM_UP_REPEATS);
  const before = server.cpuSeconds();
  const load = await runLoad(endpointOf(server, way), name, way, DURABLE_REPEATS);
  const cpuSeconds = server.cpuSeconds() - before;
  const rss = server.rssPeakBytes();
  await server.stop();
  return figures(load, load.seconds, cpuSeconds, rss);
}

async function queryableRound(name: SignalName, way: Way): Promise<Figures> {
  const server = await startServer();
  const before = server.cpuSeconds();
  const load = await runLoad(endpointOf(server, way), name, way, QUERYABLE_REPEATS);
  const doneAtMs = await materialized(server);
  const cpuSeconds = server.cpuSeconds() - before;
  const [[count]] = (await sql(server.http, COUNTS[name])) as [[string]];
  const rss = server.rssPeakBytes();
  await server.stop();
  if (Number(count) !== load.rows)
    throw new Error(`Cannot trust the round: ${count} rows of ${load.rows} are in the tables`);
  return figures(load, (doneAtMs - load.startedAtMs) / 1000, cpuSeconds, rss);
}

function figures(load: OtlpLoadResult, seconds: number, cpuSeconds: number, rss: number): Figures {
  return {
    rate: load.rows / seconds,
    cpu: (cpuSeconds * 1e6) / load.rows,
    p50: load.ackMsP50,
    p99: load.ackMsP99,
    rss,
  };
}

async function collectorCpuPerRow(name: SignalName, way: Way): Promise<number | undefined> {
  return withCollector(async (collector) => {
    const endpoint = way.transport === 'grpc' ? collector.otlp : collector.otlpHttp;
    await runLoad(endpoint, name, way, WARM_UP_REPEATS);
    const before = collector.cpuSeconds();
    const load = await runLoad(endpoint, name, way, COLLECTOR_REPEATS);
    return ((collector.cpuSeconds() - before) * 1e6) / load.rows;
  });
}

async function runLoad(endpoint: string, name: SignalName, way: Way, repeats: number): Promise<OtlpLoadResult> {
  const options: OtlpLoadOptions = {
    ...way,
    endpoint,
    requests: requestsOf(name),
    repeats,
    inFlight: IN_FLIGHT,
  };
  const load = await runJson<OtlpLoadResult>('otlp-load.ts', options);
  if (load.refused > 0) throw new Error(`Cannot trust the round: ${load.refused} requests were refused`);
  return load;
}

function requestsOf(name: SignalName): string {
  return join(directory, name);
}

function endpointOf(server: Server, way: Way): string {
  return way.transport === 'grpc' ? server.grpc : server.otlpHttp;
}

function target(rowsPerSecond: number): string {
  return rowsPerSecond === 0 ? '' : ` (target ${rowsPerSecond / 1000} k)`;
}

function k(rowsPerSecond: number): string {
  return `${(rowsPerSecond / 1000).toFixed(0)} k`;
}
