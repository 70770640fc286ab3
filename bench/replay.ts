/**
 * How fast the log becomes something else: tables built anew, entries and rows pulled over HTTP, batches pushed to another receiver. Each
 * round fills a fresh server once and then replays it; figures are medians. References run in the same round on the same data: live
 * materialization for the rebuild, a plain HTTP server with the segment files for the pull, and for the push the same batches sent by
 * the load generator (compressed before the clock starts, nothing read or decoded) to the same Collector, which throws them away.
 * Memory is told by phase: the peak of resident memory, what is left of it right after, and of that what DuckDB and files have. With three
 * times the repeats it should be the same: nothing may grow with the log.
 *
 *   npm run build && npm run bench:replay [-- --rounds 3 --repeats 8]
 *
 * COLLECTOR = path of a binary built by test/interop/build.sh; without it nothing is pushed. Needs the shared capture bench-logs-1.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { withCollector } from './collector.ts';
import type { LoadOptions, LoadResult } from './load.ts';
import {
  directoryBytes,
  machine,
  materialized,
  median,
  runJson,
  type Server,
  sql,
  startServer,
  status,
} from './process.ts';
import type { PullTiming } from './pull-load.ts';

const CAPTURE = 'bench-logs-1';
const STREAMS = 2;
const IN_FLIGHT = 20;
const ROWS_PER_MESSAGE = 1000;
const POLL_INTERVAL_MS = 20;
/** 0.5 GB of log. */
const PULL_REPEATS = 40;
const PULLS = 3;
const PULL_TARGET_MB_PER_SECOND = 400;
/** What is given back when there is nothing to do, is by then: the thread of pulls ends after 10 s, and memory that was freed goes to the system. */
const REST_MS = 20_000;
const DUCKDB_BYTES = 'SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory()';
const REBUILD_TARGET_RATIO = 0.9;
const PUSH_TARGET_ROWS_PER_SECOND = 200_000;

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, repeats: { type: 'string', default: '8' } },
});
const rounds = Number(flags.rounds);
const repeats = Number(flags.repeats);

interface Figures {
  readonly rows: number;
  readonly logBytes: number;
  readonly live: number;
  readonly rebuilt: number;
  readonly pulled: number;
  readonly served: number;
  readonly decoded: number;
  readonly tableRows: number;
  readonly pushed: number | null;
  readonly sent: number | null;
  readonly memory: readonly PhaseMemory[];
}

interface PhaseMemory {
  readonly phase: string;
  readonly peakBytes: number;
  readonly afterBytes: number;
  /** Of `afterBytes`. */
  readonly duckdbBytes: number;
  readonly fileBytes: number;
}

const found: Figures[] = [];
for (let round = 0; round < rounds; round++) found.push(await measureRound());
tell(found);

async function measureRound(): Promise<Figures> {
  const server = await startServer();
  try {
    const memory: PhaseMemory[] = [];
    const inPhase = <Result>(phase: string, work: () => Promise<Result>) => measured(server, phase, memory, work);
    await inPhase('idle', () => Promise.resolve());
    const { load, doneAtMs } = await inPhase('live', async () => {
      const sent = await send(server.grpc, repeats);
      return { load: sent, doneAtMs: await materialized(server) };
    });
    const rows = load.messages * ROWS_PER_MESSAGE;
    await expectRows(server, rows);
    const rebuildSeconds = await inPhase('rebuild', () => rebuild(server));
    await expectRows(server, rows);
    const pull = (path: string) =>
      runJson<PullTiming>('pull-load.ts', { url: `http://${server.http}/treasury/v1/${path}` });
    await inPhase('pull verbatim', () => pull('log'));
    const decoded = await inPhase('pull decoded', () => pull('log?decoded=true'));
    const table = await inPhase('pull of view logs', () => pull('tables/logs'));
    const push = await withCollector(async ({ arrow }) => ({
      pushed: await inPhase('push', () => pushAll(server, arrow, rows)),
      sent: rowsPerSecond(await send(arrow, Math.max(1, Math.floor(repeats / 2)))),
    }));
    await inPhase('rest', () => sleep(REST_MS));
    return {
      rows,
      logBytes: directoryBytes(join(server.data, 'log')),
      live: rows / ((doneAtMs - load.startedAtMs) / 1000),
      rebuilt: rows / rebuildSeconds,
      ...(await measurePull()),
      decoded: rows / decoded.seconds,
      tableRows: rows / table.seconds,
      pushed: push?.pushed ?? null,
      sent: push?.sent ?? null,
      memory,
    };
  } finally {
    await server.stop();
  }
}

/** Runs one phase and adds what memory it took. */
async function measured<Result>(
  server: Server,
  phase: string,
  memory: PhaseMemory[],
  work: () => Promise<Result>,
): Promise<Result> {
  server.resetRssPeak();
  const result = await work();
  const peakBytes = server.rssPeakBytes();
  const [[duckdbBytes]] = (await sql(server.http, DUCKDB_BYTES)) as [[string]];
  const [afterBytes, fileBytes] = [server.rssBytes(), server.rssFileBytes()];
  memory.push({ phase, peakBytes, afterBytes, duckdbBytes: Number(duckdbBytes), fileBytes });
  return result;
}

/** MB/s of a log that is large enough for the start of the thread to matter little; the tables have no part in it. */
async function measurePull(): Promise<{ pulled: number; served: number }> {
  const server = await startServer(['--materialize', 'off']);
  try {
    await send(server.grpc, PULL_REPEATS);
    const url = `http://${server.http}/treasury/v1/log`;
    const pulls: number[] = [];
    for (let pull = 0; pull < PULLS; pull++) pulls.push(rateOf(await runJson<PullTiming>('pull-load.ts', { url })));
    const served = rateOf(await runJson<PullTiming>('pull-load.ts', { directory: join(server.data, 'log') }));
    return { pulled: median(pulls), served };
  } finally {
    await server.stop();
  }
}

function rateOf({ bytes, seconds }: PullTiming): number {
  return bytes / 1e6 / seconds;
}

function send(endpoint: string, times: number): Promise<LoadResult> {
  const options: LoadOptions = {
    endpoint,
    capture: CAPTURE,
    streams: STREAMS,
    repeats: times,
    inFlight: IN_FLIGHT,
    rowsPerMessage: ROWS_PER_MESSAGE,
    rowsPerSecond: 0,
  };
  return runJson('load.ts', options);
}

function rowsPerSecond({ messages, seconds }: LoadResult): number {
  return (messages * ROWS_PER_MESSAGE) / seconds;
}

async function expectRows(server: Server, rows: number): Promise<void> {
  const [[count]] = (await sql(server.http, 'SELECT count(*) FROM logs')) as [[string]];
  if (Number(count) !== rows) throw new Error(`The tables hold ${count} logs, ${rows} were sent`);
}

interface ProjectionAnswer {
  readonly projections: readonly { readonly name: string; readonly lastSwitch: object | null }[];
}

/** Seconds from the request until the new tables serve, comparison with the old ones included. */
async function rebuild({ http }: Server): Promise<number> {
  const base = `http://${http}/treasury/v1/projections`;
  const started = performance.now();
  const answer = await fetch(`${base}/logs/rebuild`, { method: 'POST' });
  if (!answer.ok) throw new Error(`The rebuild was answered ${answer.status}: ${await answer.text()}`);
  for (;;) {
    const { projections } = (await (await fetch(base)).json()) as ProjectionAnswer;
    const logs = projections.find(({ name }) => name === 'logs');
    if (logs?.lastSwitch) return (performance.now() - started) / 1000;
    await sleep(POLL_INTERVAL_MS);
  }
}

interface ExporterAnswer {
  readonly sentItems: number;
  readonly ackedOffset: number;
  readonly setAsideEntries: number;
  readonly error: string | null;
}

/** Rows a second from the exporter's creation until all were acknowledged. */
async function pushAll({ http }: Server, collector: string, rows: number): Promise<number> {
  const { durableOffset } = await status(http);
  const url = `http://${http}/treasury/v1/exporters/bench`;
  const config = { protocol: 'otap', endpoint: `http://${collector}`, from: 'start' };
  const started = performance.now();
  const answer = await fetch(url, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(config),
  });
  if (!answer.ok) throw new Error(`The exporter was answered ${answer.status}: ${await answer.text()}`);
  for (;;) {
    const exporter = (await (await fetch(url)).json()) as ExporterAnswer;
    if (exporter.ackedOffset >= durableOffset) {
      const seconds = (performance.now() - started) / 1000;
      if (exporter.sentItems !== rows || exporter.setAsideEntries > 0) {
        throw new Error(`The exporter sent ${exporter.sentItems} of ${rows} rows: ${exporter.error}`);
      }
      await fetch(url, { method: 'DELETE' });
      return rows / seconds;
    }
    await sleep(POLL_INTERVAL_MS);
  }
}

function tell(all: readonly Figures[]): void {
  const of = (pick: (figures: Figures) => number | null) => median(all.map((figures) => pick(figures) ?? Number.NaN));
  const k = (value: number) => `${(value / 1000).toFixed(0)} k`;
  const ratio = (value: number, reference: number) => (value / reference).toFixed(2);
  const [first] = all;
  console.log(machine());
  console.log(
    `${k(first?.rows ?? 0)} logs a round, ${((first?.logBytes ?? 0) / 1e6).toFixed(0)} MB of log, ${rounds} rounds, medians`,
  );
  const [live, rebuilt] = [of((r) => r.live), of((r) => r.rebuilt)];
  console.log(
    `rebuild: ${k(rebuilt)} rows/s, live ${k(live)} rows/s, ratio ${ratio(rebuilt, live)} (target ${REBUILD_TARGET_RATIO})`,
  );
  const [pulled, served] = [of((r) => r.pulled), of((r) => r.served)];
  console.log(
    `pull verbatim: ${pulled.toFixed(0)} MB/s (target ${PULL_TARGET_MB_PER_SECOND}), the files over plain HTTP ${served.toFixed(0)} MB/s, ratio ${ratio(pulled, served)}`,
  );
  console.log(
    `pull decoded: ${k(of((r) => r.decoded))} rows/s; pull of view logs: ${k(of((r) => r.tableRows))} rows/s`,
  );
  const [pushed, sent] = [of((r) => r.pushed), of((r) => r.sent)];
  console.log(
    Number.isNaN(pushed)
      ? 'push: no Collector (set COLLECTOR)'
      : `push OTAP: ${k(pushed)} rows/s (target ${PUSH_TARGET_ROWS_PER_SECOND / 1000} k), the load generator alone ${k(sent)} rows/s, ratio ${ratio(pushed, sent)}`,
  );
  console.log('resident memory of the server in MiB, by phase: peak, then right after (of that DuckDB, of that files)');
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
  for (const [at, { phase }] of (first?.memory ?? []).entries()) {
    const figure = (name: Exclude<keyof PhaseMemory, 'phase'>) => mib(of((r) => r.memory[at]?.[name] ?? null));
    console.log(
      `  ${phase}: ${figure('peakBytes')}, then ${figure('afterBytes')} (${figure('duckdbBytes')}, ${figure('fileBytes')})`,
    );
  }
}
