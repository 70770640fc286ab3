/** A real log with numbered records, an engine of exporters on it, and what that tells. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { createPushEngine, type PushEngine, type PushEngineOptions } from '../../../src/api/push/push-engine.ts';
import type { ExporterConfig, ExporterProgress, PushEvent, SetAsideEntry } from '../../../src/api/push/types.ts';
import { SIGNAL_CODES, silentLogger } from '../../../src/base/index.ts';
import {
  ENTRY_FLAGS,
  type LogLimits,
  openLog,
  type RetainedLog,
  type RetentionSettings,
} from '../../../src/log/index.ts';
import { createStreamInspector, decodeOtlp, initZstd, type LogsBatch } from '../../../src/otap/index.ts';
import { createStreamEncoder } from '../../../src/otap/stream-encoder.ts';
import { ExportLogsServiceRequestSchema } from '../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { durableOf } from '../../helpers/engine-log.ts';
import { orphanAttribute } from '../../helpers/orphan-attribute.ts';

/** Waits of tests: short, and the same rules. One entry a request, so that a target can tell entries apart; `merging.test.ts` lets them merge. */
export const FAST = {
  pushRetryMinMs: 5,
  pushRetryMaxMs: 40,
  pushStopMaxMs: 200,
  pushProgressIntervalMs: 5,
  pushMergedBatchesMax: 1,
};

export interface PushFixture {
  readonly log: RetainedLog;
  readonly directory: string;
  readonly engine: PushEngine;
  readonly events: readonly PushEvent[];
  readonly setAside: readonly SetAsideEntry[];
  /** Starts an exporter at an offset. */
  start(config: ExporterConfig, from?: bigint): void;
  /** The newest progress of an exporter. */
  progress(name?: string): ExporterProgress | undefined;
  /** Waits until it is as asked; fails by the test's own time-out. */
  until(reached: (progress: ExporterProgress) => boolean, name?: string): Promise<ExporterProgress>;
  /** Waits until everything in the log is acknowledged. */
  untilSent(name?: string): Promise<ExporterProgress>;
  /** Stops an exporter; its last progress. */
  stop(name?: string): Promise<ExporterProgress>;
  /** Appends one OTLP request of logs with these bodies; its offset. */
  append(bodies: readonly string[]): Promise<bigint>;
  /** Appends one OTAP stream of logs, a batch for each of these; with an attribute of no record in each if asked for. */
  appendStream(batches: readonly (readonly string[])[], options?: { readonly withOrphan?: boolean }): Promise<void>;
}

interface PushLogOptions {
  readonly logLimits?: Partial<LogLimits>;
  readonly retention?: RetentionSettings;
}

/** Opens the log and the engine; both are gone when the test ends. */
export async function startPush(
  t: TestContext,
  options: Partial<Pick<PushEngineOptions, 'limits' | 'openSender' | 'logger'>> & PushLogOptions = {},
): Promise<PushFixture> {
  await initZstd();
  const directory = mkdtempSync(join(tmpdir(), 'treasury-push-'));
  const { logLimits = {}, retention, ...engineOptions } = options;
  const kept = retention === undefined ? {} : { retention };
  const log = await openLog({ directory, logger: silentLogger, limits: logLimits, ...kept });
  const events: PushEvent[] = [];
  const setAside: SetAsideEntry[] = [];
  const newest = new Map<string, ExporterProgress>();
  const stopped = new Map<string, number>();
  const engine = createPushEngine({
    logDirectory: directory,
    logger: silentLogger,
    ...engineOptions,
    limits: { ...FAST, ...options.limits },
    onEvent(event) {
      events.push(event);
      if (event.type === 'set-aside') setAside.push(...event.entries);
      else newest.set(event.progress.name, event.progress);
      if (event.type === 'stopped') stopped.set(event.name, (stopped.get(event.name) ?? 0) + 1);
    },
  });
  log.onDurable((durable) => engine.handle({ type: 'advance', durable: durableOf({ ...log.status(), ...durable }) }));
  t.after(async () => {
    engine.handle({ type: 'end' });
    await engine.ended;
    await log.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const fixture: PushFixture = {
    log,
    directory,
    engine,
    events,
    setAside,
    start(config, from = 0n) {
      engine.handle({ type: 'start', config, from, durable: durableOf(log.status()) });
    },
    progress: (name = 'test') => newest.get(name),
    async until(reached, name = 'test') {
      for (;;) {
        const progress = newest.get(name);
        if (progress !== undefined && reached(progress)) return progress;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    untilSent: (name) => fixture.until((progress) => progress.ackedOffset >= log.status().durableOffset, name),
    async stop(name = 'test') {
      const before = stopped.get(name) ?? 0;
      engine.handle({ type: 'stop', name });
      while ((stopped.get(name) ?? 0) === before) await new Promise((resolve) => setTimeout(resolve, 1));
      return newest.get(name)!;
    },
    async append(bodies) {
      const { offset } = await log.appendOtlp(SIGNAL_CODES.logs, {
        batchId: 0n,
        record: [logsRequest(bodies)],
        headers: new Map([['content-type', 'application/x-protobuf']]),
      });
      return offset;
    },
    async appendStream(batches, { withOrphan = false } = {}) {
      const encoder = createStreamEncoder('logs');
      const inspector = createStreamInspector('logs');
      const stream = log.openStream(SIGNAL_CODES.logs);
      for (const [index, bodies] of batches.entries()) {
        const decoded = decodeOtlp('logs', logsRequest(bodies), 'application/x-protobuf') as LogsBatch;
        const batch = withOrphan ? { ...decoded, logAttrs: orphanAttribute(ORPHAN_PARENT) } : decoded;
        const { batchId, record, headers, stateMessages } = inspector.inspect(encoder.encode(batch, BigInt(index)));
        const flags = stateMessages.length > 0 ? ENTRY_FLAGS.HAS_SCHEMA | ENTRY_FLAGS.HAS_DICTIONARY : 0;
        await stream.append({ batchId, record, headers, flags, stateUpdates: stateMessages });
      }
      stream.close();
    },
  };
  return fixture;
}

/** No record of a fixture's batches has this id. */
const ORPHAN_PARENT = 60_000;

/** An OTLP request of logs with these bodies. */
export function logsRequest(bodies: readonly string[]): Uint8Array {
  const logRecords = bodies.map((text) => ({ body: { value: { case: 'stringValue' as const, value: text } } }));
  const message = create(ExportLogsServiceRequestSchema, { resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
  return toBinary(ExportLogsServiceRequestSchema, message);
}
