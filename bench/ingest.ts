/**
 * How fast a batch becomes durable and queryable, and what it costs. Every figure is a median of rounds, each on a fresh data
 * directory; references run in between on the same machine: a plain write+fdatasync loop with the same block size, and the Go
 * Collector's Arrow receiver with a nop exporter (COLLECTOR = path of a binary built by test/interop/build.sh).
 *
 *   npm run build && npm run bench:ingest [-- --rounds 3 --signals logs,traces,metrics]
 *
 * The load comes from the shared captures bench-*-1 (test/helpers/captures.ts tells where they are looked for).
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { withCollector } from './collector.ts';
import type { LoadOptions, LoadResult } from './load.ts';
import {
  directoryBytes,
  machine,
  materialized,
  median,
  metric,
  root,
  runJson,
  type Server,
  sql,
  startServer,
} from './process.ts';

const SIGNALS = {
  logs: { capture: 'bench-logs-1', rows: 130_000, table: 'logs', durableTarget: 500_000, queryableTarget: 120_000 },
  traces: { capture: 'bench-traces-1', rows: 80_000, table: 'spans', durableTarget: 0, queryableTarget: 80_000 },
  metrics: { capture: 'bench-metrics-1', rows: 100_000, table: 'points', durableTarget: 0, queryableTarget: 200_000 },
} as const;
type SignalName = keyof typeof SIGNALS;

const STREAMS = 2;
const IN_FLIGHT = 20;
/** Times that each stream replays the capture in one round: 8 x 130,000 logs are some seconds of work. */
const QUERYABLE_REPEATS = 8;
const DURABLE_REPEATS = 8;
const COLLECTOR_REPEATS = 3;
const FRESHNESS_ROWS_PER_SECOND = 20_000;

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, signals: { type: 'string', default: 'logs,traces,metrics' } },
});
const rounds = Number(flags.rounds);

console.log(machine());
await measureIdle();
for (const name of flags.signals.split(',') as SignalName[]) {
  await measureDurable(name);
  await measureQueryable(name);
}
await measureFreshness();

async function measureIdle(): Promise<void> {
  const starts: number[] = [];
  const sizes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const server = await startServer();
    await sleep(3000);
    starts.push(server.startMs);
    sizes.push(server.rssBytes() / 2 ** 20);
    await server.stop();
  }
  console.log(
    `idle: start to ready ${median(starts).toFixed(0)} ms (target 1000), RSS ${median(sizes).toFixed(0)} MiB (target 120)`,
  );
}

/** Intake alone: no materializer takes CPU from it, so the CPU figure is that of receiving, logging and answering. */
async function measureDurable(name: SignalName): Promise<void> {
  const signal = SIGNALS[name];
  const rates: number[] = [];
  const cpus: number[] = [];
  const p50s: number[] = [];
  const p99s: number[] = [];
  const ratios: number[] = [];
  const collectorCpus: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const server = await startServer(['--materialize', 'off']);
    const before = server.cpuSeconds();
    const load = await runLoad(server.grpc, name, DURABLE_REPEATS);
    const cpuSeconds = server.cpuSeconds() - before;
    const rows = load.messages * 1000;
    const logBytes = directoryBytes(join(server.data, 'log'));
    const frames = Number((await metric(server, 'treasury_log_frames_total')) ?? Number.NaN);
    await server.stop();
    rates.push(rows / load.seconds);
    cpus.push((cpuSeconds * 1e6) / rows);
    p50s.push(load.ackMsP50);
    p99s.push(load.ackMsP99);
    const blockBytes = Math.round(logBytes / frames);
    const disk = await runJson<{ mbPerSecond: number }>('fsync-loop.ts', { directory: root, blockBytes, seconds: 2 });
    ratios.push(logBytes / load.seconds / 1e6 / disk.mbPerSecond);
    const collectorCpu = await collectorCpuPerRow(name);
    if (collectorCpu !== undefined) collectorCpus.push(collectorCpu);
  }
  const reference =
    collectorCpus.length === 0
      ? 'Go Collector: not there (set COLLECTOR)'
      : `Go Collector, stores nothing: ${median(collectorCpus).toFixed(2)} us, ratio ${(median(cpus) / median(collectorCpus)).toFixed(2)}`;
  const target = signal.durableTarget === 0 ? '' : ` (target ${signal.durableTarget / 1000} k, 2 us)`;
  console.log(
    `${name} durable: ${k(median(rates))} rows/s, ${median(cpus).toFixed(2)} us CPU a row${target}; ack p50 ${median(p50s).toFixed(1)} ms, ` +
      `p99 ${median(p99s).toFixed(1)} ms; ${median(ratios).toFixed(2)} x write+fdatasync of the same block size; ${reference}`,
  );
}

async function measureQueryable(name: SignalName): Promise<void> {
  const signal = SIGNALS[name];
  const results: { rate: number; cpu: number; log: number; live: number; tables: number; rss: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const server = await startServer();
    const before = server.cpuSeconds();
    const load = await runLoad(server.grpc, name, QUERYABLE_REPEATS);
    const doneAtMs = await materialized(server);
    const cpuSeconds = server.cpuSeconds() - before;
    const rows = load.messages * 1000;
    await expectRows(server, name, rows);
    const rss = server.rssPeakBytes();
    const log = directoryBytes(join(server.data, 'log')) / rows;
    // Live, the file still holds what transactions freed, and a write-ahead log; what a stop leaves is what the rows need.
    const tablesDirectory = join(server.data, 'tables');
    const live = directoryBytes(tablesDirectory) / rows;
    let tables = Number.NaN;
    await server.stop(() => {
      tables = directoryBytes(tablesDirectory) / rows;
    });
    results.push({
      rate: rows / ((doneAtMs - load.startedAtMs) / 1000),
      cpu: (cpuSeconds * 1e6) / rows,
      log,
      live,
      tables,
      rss,
    });
  }
  const of = (pick: (result: (typeof results)[number]) => number) => median(results.map(pick));
  console.log(
    `${name} queryable: ${k(of((r) => r.rate))} rows/s (target ${signal.queryableTarget / 1000} k), ${of((r) => r.cpu).toFixed(2)} us CPU a row, ` +
      `log ${of((r) => r.log).toFixed(1)} B a row, tables ${of((r) => r.tables).toFixed(1)} B a row (${of((r) => r.live).toFixed(1)} before the stop), peak RSS ${(of((r) => r.rss) / 2 ** 20).toFixed(0)} MiB; ` +
      `${QUERYABLE_REPEATS * STREAMS * signal.rows} rows a round, ${rounds} rounds`,
  );
}

/** Time from an acknowledgement until SQL sees its rows, at a steady 20,000 logs/s. */
async function measureFreshness(): Promise<void> {
  const server = await startServer();
  const seen: { atMs: number; rows: number }[] = [];
  let running = true;
  const poll = (async () => {
    while (running) {
      const [[count]] = (await sql(server.http, 'SELECT count(*) FROM logs')) as [[string]];
      seen.push({ atMs: Date.now(), rows: Number(count) });
      await sleep(20);
    }
  })();
  const load = await runLoad(server.grpc, 'logs', 1, FRESHNESS_ROWS_PER_SECOND);
  await materialized(server);
  await sleep(1500);
  running = false;
  await poll;
  await server.stop();
  const delays = load.ackedAtMs
    .toSorted((a, b) => a - b)
    .map((ackedAtMs, index) => seen.find((view) => view.rows >= (index + 1) * 1000)!.atMs - ackedAtMs)
    .toSorted((a, b) => a - b);
  const at = (quantile: number) => delays[Math.floor(delays.length * quantile)]!.toFixed(0);
  console.log(
    `freshness at ${FRESHNESS_ROWS_PER_SECOND} logs/s: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms (target 1500), max ${at(0.999)} ms`,
  );
}

async function runLoad(endpoint: string, name: SignalName, repeats: number, rowsPerSecond = 0): Promise<LoadResult> {
  const options: LoadOptions = {
    endpoint,
    capture: SIGNALS[name].capture,
    streams: STREAMS,
    repeats,
    inFlight: IN_FLIGHT,
    rowsPerMessage: 1000,
    rowsPerSecond,
  };
  const load = await runJson<LoadResult>('load.ts', options);
  if (load.refused > 0) throw new Error(`Cannot trust the round: ${load.refused} batches were refused`);
  return load;
}

async function expectRows(server: Server, name: SignalName, rows: number): Promise<void> {
  const query =
    name === 'metrics'
      ? 'SELECT (SELECT count(*) FROM samples) + (SELECT count(*) FROM histograms)'
      : `SELECT count(*) FROM ${SIGNALS[name].table}`;
  const [[count]] = (await sql(server.http, query)) as [[string]];
  if (Number(count) !== rows) throw new Error(`Cannot trust the round: ${count} rows of ${rows} are in the tables`);
}

/** CPU microseconds a row of the Go Collector receiving the same load, or undefined without one. */
async function collectorCpuPerRow(name: SignalName): Promise<number | undefined> {
  return withCollector(async (collector) => {
    const before = collector.cpuSeconds();
    const load = await runLoad(collector.arrow, name, COLLECTOR_REPEATS);
    return ((collector.cpuSeconds() - before) * 1e6) / (load.messages * 1000);
  });
}

function k(rowsPerSecond: number): string {
  return `${(rowsPerSecond / 1000).toFixed(0)} k`;
}
