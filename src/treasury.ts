/** The composition root: builds the server from its rooms, starts them in order and stops them in reverse. */
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  createAdmission,
  createExporterManager,
  createOtlpIntake,
  createPrometheusQueries,
  createPulls,
  type ExporterManager,
  type GrpcServer,
  type HttpListener,
  offsetAtTime,
  type OffsetAtTime,
  type PrometheusQueries,
  prometheusSettings,
  type Pulls,
  readExporter,
  startGrpcServer,
  startHttpServer,
  startOtlpHttpServer,
  startPushWorker,
} from './api/index.ts';
import { checkLimits, collectAtRest, errorMessage, LIMITS, type Logger, VERSION } from './base/index.ts';
import type { Config } from './config.ts';
import {
  acquireDataDirectoryLock,
  type Cursors,
  type Log,
  makeDurableDirectory,
  openCursors,
  openLog,
} from './log/index.ts';
import { startEngine, superviseEngine, type SupervisedEngine } from './materialize/index.ts';
import { createTablesHold } from './tables-hold.ts';
import { letHeapsGrow } from './v8-flags.ts';

/** A running server. */
export interface Treasury {
  readonly addresses: { readonly grpc: string; readonly otlpHttp: string; readonly http: string };
  /** The data directory as given. */
  readonly data: string;
  /**
   * Stops taking work, answers what was taken, commits, closes. Never rejects: what fails is logged. Later calls return the same
   * promise.
   */
  stop(): Promise<void>;
}

/** Folders of a data directory. */
export function dataFolders(data: string): DataFolders {
  const root = resolve(data);
  const tables = join(root, 'tables');
  return {
    log: join(root, 'log'),
    cursors: join(root, 'cursors'),
    exporters: join(root, 'exporters'),
    tables,
    projections: join(root, 'projections'),
    rebuild: join(tables, 'rebuild'),
  };
}

interface DataFolders {
  readonly log: string;
  readonly cursors: string;
  /** Their configuration, and what they gave up. */
  readonly exporters: string;
  readonly tables: string;
  /** Files of users, if there are some. */
  readonly projections: string;
  /** Tables that are being built by `treasury rebuild`. */
  readonly rebuild: string;
}

interface Part {
  readonly name: string;
  readonly stop: () => Promise<void> | void;
}

/**
 * Starts the server: lock, log, cursors, engine, exporters, then the ports. Rejects with TreasuryError (TREASURY_DATA_DIRECTORY_LOCKED with the holder's
 * PID, TREASURY_LOG_CORRUPT, TREASURY_MIGRATION, TREASURY_STORE, TREASURY_CONFIG for an address that cannot be had); what had been
 * started is stopped then.
 */
export async function startTreasury(config: Config, logger: Logger): Promise<Treasury> {
  checkLimits();
  const started: Part[] = [];
  let stoppingSinceMs: number | null = null;
  let stopping: Promise<void> | null = null;
  const stop = () => {
    stoppingSinceMs ??= performance.now();
    stopping ??= stopAll(started, logger);
    return stopping;
  };
  try {
    const folders = dataFolders(config.data);
    const lock = acquireDataDirectoryLock(resolve(config.data));
    started.push({ name: 'lock', stop: () => lock.release() });
    for (const folder of [folders.log, folders.tables]) makeDurableDirectory(folder);
    // Of a rebuild that was killed.
    await rm(folders.rebuild, { recursive: true, force: true });
    const retention = { ageMaxMs: config.retentionAgeMs, bytesMax: config.retentionBytes };
    const log = await openLog({ directory: folders.log, logger, retention });
    started.push({ name: 'log', stop: () => log.close() });
    const tablesHold = createTablesHold(log);
    const cursors = await openCursors({ directory: folders.cursors, log, logger });
    started.push({ name: 'cursors', stop: () => cursors.close() });
    const engine = await startSupervised(config, log, logger);
    started.push({ name: 'engine', stop: () => engine.stop(engineStopMaxMs(stoppingSinceMs)) });
    await tablesHold.follow(engine);
    started.push({ name: 'tables hold', stop: () => tablesHold.stop() });
    const pulls = createPulls({ log, logDirectory: folders.log, logger });
    started.push({ name: 'pulls', stop: () => pulls.stop() });
    const prometheus = createPrometheusQueries({
      engine,
      settings: prometheusSettingsOf(config),
      corsOrigins: config.prometheusCorsOrigins,
      logger,
    });
    started.push({ name: 'PromQL', stop: () => prometheus.stop() });
    const places = { engine, pulls, sqlLimits: sqlLimitsOf(config) };
    const atTime: OffsetAtTime = (unixNano, by) =>
      offsetAtTime(places, by === 'event' ? { eventTime: unixNano } : { receivedAt: unixNano });
    const exporters = await createExporterManager({
      directory: folders.exporters,
      cursors,
      log,
      startWorker: (onEvent) => startPushWorker({ logDirectory: folders.log, onEvent, logger }),
      offsetAtTime: atTime,
      wanted: config.exports.map(({ name, ...target }) => readExporter(name, target)),
      logger,
    });
    started.push({ name: 'exporters', stop: () => exporters.stop() });
    const parts = {
      log,
      engine,
      pulls,
      prometheus,
      cursors,
      exporters,
      offsetAtTime: atTime,
      logger,
      isStopping: () => stoppingSinceMs !== null,
    };
    const ports = await startPorts(config, parts);
    started.push({ name: 'ports', stop: () => stopPorts(ports) });
    started.push({ name: 'rest', stop: collectAtRest() });
    return {
      addresses: { grpc: ports.grpc.address, otlpHttp: ports.otlpHttp.address, http: ports.http.address },
      data: config.data,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What is left for the engine: it must have ended, also when it has to be broken off, before the process is. */
function engineStopMaxMs(stoppingSinceMs: number | null): number {
  const goneMs = stoppingSinceMs === null ? 0 : performance.now() - stoppingSinceMs;
  const leftMs = LIMITS.shutdownMaxMs - LIMITS.engineBreakOffMaxMs - goneMs;
  return Math.max(LIMITS.engineStopMinMs, Math.min(LIMITS.engineStopMaxMs, leftMs));
}

async function startSupervised(config: Config, log: Log, logger: Logger): Promise<SupervisedEngine> {
  const folders = dataFolders(config.data);
  const start = () => {
    const { durableOffset, segment, segmentBytes, uuid, retention } = log.status();
    return startEngine(
      {
        logDirectory: folders.log,
        tablesDirectory: folders.tables,
        projectionsDirectory: folders.projections,
        logUuid: uuid,
        materialize: config.materialize === 'on',
        retentionAgeMs: config.tablesRetentionAgeMs,
        retentionClockUnixMs: retention.clockUnixMs,
        memoryLimitMb: config.memoryLimitMb,
        threads: config.threads,
        durable: { durableOffset, segment, segmentBytes },
      },
      logger,
    );
  };
  const engine = await superviseEngine({ start, logger });
  log.onDurable((position) => engine.advance(position));
  const first = log.onDurable(() => {
    first();
    letHeapsGrow(LIMITS.heapGarbageBytesMax);
  });
  // What became durable while the engine started.
  engine.advance(log.status());
  return engine;
}

function sqlLimitsOf({ sqlRowsMax, sqlTimeoutMs }: Config): { readonly rowsMax: number; readonly timeoutMs: number } {
  return { rowsMax: sqlRowsMax, timeoutMs: sqlTimeoutMs };
}

function prometheusSettingsOf(config: Config): PrometheusQueries['settings'] {
  return prometheusSettings({
    strategy: config.prometheusTranslation,
    promotedResourceAttributes: config.promoteResourceAttributes,
    histograms: config.prometheusHistograms,
    lookbackMs: config.promqlLookbackMs,
    samplesMax: config.promqlSamplesMax,
    queryTimeoutMs: config.promqlTimeoutMs,
    features: config.enableFeature,
  });
}

interface Ports {
  readonly grpc: GrpcServer;
  readonly otlpHttp: HttpListener;
  readonly http: HttpListener;
  readonly pulls: Pulls;
  readonly exporters: ExporterManager;
}

interface PortParts {
  readonly log: Log;
  readonly engine: SupervisedEngine;
  readonly pulls: Pulls;
  readonly prometheus: PrometheusQueries;
  readonly cursors: Cursors;
  readonly exporters: ExporterManager;
  readonly offsetAtTime: OffsetAtTime;
  readonly logger: Logger;
  readonly isStopping: () => boolean;
}

/** Opens the ports together: all of them or none. */
async function startPorts(config: Config, parts: PortParts): Promise<Ports> {
  const { log, engine, pulls, exporters, logger } = parts;
  const admission = createAdmission(LIMITS.inFlightReadBytesMax, LIMITS.inFlightBytesMax);
  const intake = createOtlpIntake({ log, logger, admission });
  const grpc = await startGrpcServer({ ...config.grpc, log, logger, intake });
  const opened: { stop(): Promise<void> }[] = [grpc];
  try {
    const otlpHttp = await startOtlpHttpServer({
      ...config.otlpHttp,
      intake,
      logger,
      corsOrigins: config.otlpCorsOrigins,
    });
    opened.push(otlpHttp);
    const services = {
      version: VERSION,
      startedAtUnixMs: Date.now(),
      startedMs: performance.now(),
      ...parts,
      rebuilds: engine,
      projectionFiles: engine,
      engineHealth: () => engine.health(),
      receiverStatus: () => grpc.status(),
      otlpStatus: () => intake.status(),
      sqlLimits: sqlLimitsOf(config),
    };
    const http = await startHttpServer({ ...config.http, services });
    grpc.setServing(true);
    return { grpc, otlpHttp, http, pulls, exporters };
  } catch (error) {
    await Promise.all(opened.map((port) => port.stop()));
    throw error;
  }
}

/** Together with what needs nothing of them: each may take seconds. */
async function stopPorts({ grpc, otlpHttp, http, pulls, exporters }: Ports): Promise<void> {
  await Promise.all([grpc.stop(), otlpHttp.stop(), http.stop(), pulls.stop(), exporters.stop()]);
}

async function stopAll(started: readonly Part[], logger: Logger): Promise<void> {
  for (const { name, stop } of started.toReversed()) {
    try {
      await stop();
    } catch (error) {
      logger.error('A part did not stop cleanly', { part: name, error: errorMessage(error) });
    }
  }
}
