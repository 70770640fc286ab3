/** The HTTP server on a real log and, where a test wants it, a real engine. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createPulls, type Pulls } from '../../../src/api/pull/pulls.ts';
import { silentLogger } from '../../../src/base/index.ts';
import type { Log, LogLimits } from '../../../src/log/index.ts';
import type { Engine } from '../../../src/materialize/index.ts';
import type { EngineOptions } from '../../../src/materialize/types.ts';
import { openTestLog, startTestEngine } from '../../helpers/engine-log.ts';
import { startHttpHarness } from '../http/harness.ts';

export interface PullServer {
  readonly base: string;
  readonly directory: string;
  readonly log: Log;
  readonly pulls: Pulls;
  /** Starts the engine on first use; the server answers by it from then on. */
  engine(): Promise<Engine>;
}

export interface PullServerOptions {
  readonly limits?: Partial<LogLimits>;
  readonly pullsMax?: number;
  readonly tables?: Partial<EngineOptions>;
}

/** Starts a server; everything ends with the test. */
export async function startPullServer(
  t: TestContext,
  { limits = {}, pullsMax, tables = {} }: PullServerOptions = {},
): Promise<PullServer> {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-pull-'));
  const log = await openTestLog(directory, limits);
  const logDirectory = join(directory, 'log');
  const pulls = createPulls({
    log,
    logDirectory,
    logger: silentLogger,
    ...(pullsMax === undefined ? {} : { pullsMax }),
  });
  let engine: Promise<Engine> | null = null;
  const startEngine = () => {
    engine ??= startTestEngine(directory, log.status(), silentLogger, tables).then((started) => {
      log.onDurable((position) => started.advance(position));
      started.advance(log.status());
      return started;
    });
    return engine;
  };
  const { base, listener } = await startHttpHarness({
    log,
    pulls,
    engine: {
      sql: async (request, signal) => (await startEngine()).sql(request, signal),
      status: async () => (await startEngine()).status(),
    },
    sqlLimits: { rowsMax: 10, timeoutMs: 30_000 },
  });
  t.after(async () => {
    await Promise.all([pulls.stop(), listener.stop()]);
    await (await engine)?.stop();
    await log.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { base, directory, log, pulls, engine: startEngine };
}
