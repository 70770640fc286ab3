/** The HTTP server with parts that a test sets, for contract tests. */
import { type Logger, silentLogger } from '../../../src/base/index.ts';
import {
  createPrometheusQueries,
  type HttpListener,
  type HttpServices,
  prometheusSettings,
  startHttpServer,
} from '../../../src/api/index.ts';
import { createPulls } from '../../../src/api/pull/pulls.ts';
import type { ExporterManager } from '../../../src/api/push/manager.ts';
import type { Cursors } from '../../../src/log/index.ts';
import type { EngineStatus, SqlRequest } from '../../../src/materialize/index.ts';

export interface HttpHarness {
  readonly base: string;
  readonly listener: HttpListener;
  /** Requests that reached the engine. */
  readonly requests: SqlRequest[];
}

export const ENGINE_STATUS: EngineStatus = {
  duckdbVersion: 'v0',
  projections: [
    {
      name: 'logs',
      version: 1,
      state: 'serving',
      materializedOffset: 5n,
      firstOffset: 0n,
      complete: true,
      targetOffset: 2n,
      rowsWritten: 50,
      building: null,
      lastSwitch: null,
    },
  ],
  userProjections: [],
  materializedOffset: 5n,
  neededOffset: 5n,
  complete: true,
  commits: 2,
  rowsWritten: 50,
  entriesDecoded: 5,
  quarantinedTotal: 1,
  quarantined: [{ offset: 3n, projection: 'logs', reason: 'a "reason"' }],
  repairedStrings: 0,
  lost: { total: 3n, newest: [{ from: 1n, to: 4n }] },
  tableBytes: 4096,
  writer: 'raw',
  lastCommitMs: 12,
  queriesRunning: 0,
  queriesQueued: 0,
  materializing: true,
  stuck: null,
  retention: {
    ageMs: 86_400_000,
    intervalMs: 60_000,
    runs: 3,
    lastRunAtUnixMs: 1_700_000_000_000,
    rowsDeleted: { logs: 40, logs_resources: 2 },
    oldestUnixMs: { logs: 1_600_000_000_000, spans: null },
    failing: null,
    freeBytes: 1024,
    rewrites: 1,
  },
};

export const LOG_STATUS: ReturnType<HttpServices['log']['status']> = {
  durableOffset: 8n,
  segment: 0n,
  segmentBytes: 100,
  uuid: 'u',
  firstOffset: 0n,
  nextOffset: 9n,
  segments: 1,
  bytes: 100,
  streams: 0,
  streamStateBytes: 0,
  inFlightBytes: 0,
  refusing: null,
  fault: null,
  slow: null,
  entriesAppended: 9,
  bytesAppended: 90,
  frames: 3,
  fsyncSecondsTotal: 0.5,
  appendFailures: 0,
  quarantinedRanges: 0,
  gaps: [{ from: 1n, to: 2n }],
  retention: {
    ageMaxMs: 3_600_000,
    clockUnixMs: 1_700_000_000_000,
    bytesMax: 1_000_000,
    freeBytes: 5_000_000,
    reserveBytes: 4_000_000,
    deleted: {
      age: { segments: 2, bytes: 300, entries: 5n },
      bytes: { segments: 1, bytes: 100, entries: 2n },
      reserve: { segments: 0, bytes: 0, entries: 0n },
    },
    deletedTo: 7n,
    failing: null,
    holds: [{ name: 'tables', policy: 'drop', offset: 6n, passedEntries: 1n }],
  },
};

const NO_BATCHES = { accepted: 0, unavailable: 0, malformed: 0, messageBytes: 0 };

const NO_REQUESTS = { accepted: 0, partial: 0, unavailable: 0, malformed: 0, rows: 0, rejectedRows: 0, bodyBytes: 0 };
const NO_OTLP = { logs: NO_REQUESTS, traces: NO_REQUESTS, metrics: NO_REQUESTS };
/** Four requests, one of them with five rejected rows. */
const OTLP_LOGS = { ...NO_REQUESTS, accepted: 4, partial: 1, rows: 40, rejectedRows: 5, bodyBytes: 600 };

const NO_CURSORS: Cursors = {
  list: () => [],
  get: () => null,
  damaged: [],
  create: refuse,
  fork: refuse,
  remove: refuse,
  close: () => Promise.resolve(),
};

const NO_EXPORTERS: ExporterManager = {
  status: () => ({ exporters: [], faults: [], down: null, workerRestarts: 0 }),
  get() {
    throw new Error('There are no exporters in this test');
  },
  has: () => false,
  put: refuse,
  pause: refuse,
  resume: refuse,
  rewind: refuse,
  fork: refuse,
  remove: refuse,
  stop: () => Promise.resolve(),
};

function refuse(): Promise<never> {
  return Promise.reject(new Error('There is nothing to change in this test'));
}

/** As they are by default, but for resource attributes: none are labels. */
export const PROMETHEUS_SETTINGS = prometheusSettings({
  strategy: 'UnderscoreEscapingWithSuffixes',
  promotedResourceAttributes: [],
  histograms: 'classic',
  lookbackMs: 300_000,
  samplesMax: 1_000_000,
  queryTimeoutMs: 60_000,
  features: [],
});

/** Starts a server on a free port. `parts` replace what the test is about; `sql` gets every query. */
export async function startHttpHarness(
  parts: Partial<HttpServices> = {},
  sql: HttpServices['engine']['sql'] = () => Promise.resolve({ chunks: chunksOf('{}') }),
  logger: Logger = silentLogger,
): Promise<HttpHarness> {
  const requests: SqlRequest[] = [];
  const services: HttpServices = {
    version: '9.9.9',
    startedAtUnixMs: Date.now(),
    startedMs: performance.now(),
    log: { status: () => LOG_STATUS },
    engine: {
      status: () => Promise.resolve(ENGINE_STATUS),
      sql: (request, signal) => {
        requests.push(request);
        return sql(request, signal);
      },
    },
    rebuilds: {
      status: () => Promise.resolve(ENGINE_STATUS),
      rebuildProjection: () => Promise.resolve(),
      cancelRebuild: () => Promise.resolve(),
    },
    projectionFiles: { scanProjections: () => Promise.resolve({ projections: [], problems: [] }) },
    engineHealth: () => ({ running: true, restarts: 0, reason: null }),
    receiverStatus: () => ({
      streamsOpen: 1,
      streamsExcess: 0,
      streamsHeld: 0,
      streamsStalled: 0,
      streamsOpened: 1,
      streamsEnded: {
        half_close: 0,
        age: 0,
        state: 0,
        capacity: 0,
        shutdown: 0,
        malformed: 0,
        unavailable: 0,
        cancelled: 0,
      },
      batches: { logs: { ...NO_BATCHES, accepted: 7 }, traces: NO_BATCHES, metrics: NO_BATCHES },
      inFlightBytes: 0,
      streamStateBytes: 0,
      otlpWaitingBytes: 0,
    }),
    otlpStatus: () => ({ requests: { grpc: NO_OTLP, http: { ...NO_OTLP, logs: OTLP_LOGS } }, inFlight: 2 }),
    pulls: createPulls({
      log: { status: () => LOG_STATUS, onDurable: () => () => {} },
      logDirectory: 'none',
      logger,
    }),
    prometheus: createPrometheusQueries({
      engine: { sql: () => Promise.reject(new Error('There are no metrics in this test')) },
      settings: PROMETHEUS_SETTINGS,
      logger,
    }),
    cursors: NO_CURSORS,
    exporters: NO_EXPORTERS,
    offsetAtTime: () => Promise.resolve(0n),
    isStopping: () => false,
    sqlLimits: { rowsMax: 100, timeoutMs: 1000 },
    logger,
    ...parts,
  };
  const listener = await startHttpServer({ host: '127.0.0.1', port: 0, services });
  return { base: `http://${listener.address}`, listener, requests };
}

export async function* chunksOf(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}
