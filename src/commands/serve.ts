/** `treasury serve`. */
import { createLogger, LIMITS, type Logger } from '../base/index.ts';
import type { Config } from '../config.ts';
import { endThreads } from '../materialize/index.ts';
import { startTreasury } from '../treasury.ts';

/**
 * Serves until SIGTERM or SIGINT, then stops within `shutdownMaxMs`; a second signal ends the process at once. Resolves with the exit
 * code. Rejects with TreasuryError when the server cannot start.
 */
export async function serve(config: Config): Promise<number> {
  const logger = stderrLogger(config);
  const signalled = firstSignal(logger);
  endByBugs(logger);
  const treasury = await startTreasury(config, logger);
  const { grpc, otlpHttp, http } = treasury.addresses;
  process.stdout.write(`ready grpc=${grpc} otlp_http=${otlpHttp} http=${http} data=${treasury.data}\n`);
  const signal = await signalled;
  logger.info('Stopping', { signal });
  await treasury.stop();
  logger.info('Stopped');
  return 0;
}

function stderrLogger({ logFormat, logLevel }: Config): Logger {
  const automatic = process.stderr.isTTY ? 'text' : 'json';
  return createLogger({
    format: logFormat === 'auto' ? automatic : logFormat,
    level: logLevel,
    write: (line) => process.stderr.write(line),
  });
}

/** One request to stop may come as two signals: to the process and to its group (Ctrl-C under npm, timeout(1)). */
const SAME_REQUEST_MS = 500;

/** The first SIGTERM or SIGINT. From then on the process ends by force when it takes too long or is asked again. */
function firstSignal(logger: Logger): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let stoppingSinceMs: number | null = null;
    const onSignal = (signal: NodeJS.Signals) => {
      if (stoppingSinceMs !== null) {
        if (performance.now() - stoppingSinceMs > SAME_REQUEST_MS) endByForce(logger, `asked again by ${signal}`);
        return;
      }
      stoppingSinceMs = performance.now();
      setTimeout(() => endByForce(logger, 'it took too long'), LIMITS.shutdownMaxMs).unref();
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

/**
 * What is thrown where nobody catches it ends the process with 1: nothing can be known any more of what the main thread holds. Threads end
 * first, as one that ends with the process while DuckDB works for it aborts it.
 */
function endByBugs(logger: Logger): void {
  let isEnding = false;
  process.on('uncaughtException', (error: unknown) => {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    logger.error('Ended by a bug', { reason });
    if (isEnding) return;
    isEnding = true;
    setTimeout(() => endByForce(logger, 'its threads did not end'), LIMITS.threadHearMaxMs).unref();
    void endThreads().then(() => process.exit(1));
  });
}

/**
 * Nothing acknowledged is lost by this: the log is synced, and the tables go on from their last commit. By signal, as `process.exit`
 * would wait for the engine's thread.
 */
function endByForce(logger: Logger, reason: string): void {
  logger.error('Ended by force', { reason });
  process.kill(process.pid, 'SIGKILL');
}
