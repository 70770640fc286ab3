/**
 * An engine that comes back. When its thread dies (a crash of native code, out of memory), intake goes on (the log is the truth) and
 * the engine is started again a few times, with growing pauses; until it runs, calls reject with TREASURY_ENGINE_UNAVAILABLE and
 * health is red. The tables go on where their last transaction ended.
 */
import { errorMessage, LIMITS, type Logger, TreasuryError } from '../base/index.ts';
import type { DurablePosition } from '../log/index.ts';
import type { Engine } from './types.ts';

/** How the engine's thread is. */
export interface EngineHealth {
  readonly running: boolean;
  /** How often it was started again after a death. */
  readonly restarts: number;
  /** Why it is not running, or null. */
  readonly reason: string | null;
}

export interface SupervisedEngine extends Engine {
  health(): EngineHealth;
}

export interface SuperviseOptions {
  /** Starts an engine at the log's present end. */
  readonly start: () => Promise<Engine>;
  readonly logger: Logger;
  /** Replace single ones of `LIMITS`. */
  readonly limits?: Partial<RestartLimits>;
}

type RestartLimits = {
  readonly [name in 'engineRestartsMax' | 'engineRestartMinMs' | 'engineRecoveredMs']: number;
};

/**
 * Starts the engine and keeps it running. Rejects when the first start fails. `failed` resolves when it was given up; `stop` may be
 * called in every state.
 */
export async function superviseEngine({ start, logger, ...options }: SuperviseOptions): Promise<SupervisedEngine> {
  const limits: RestartLimits = { ...LIMITS, ...options.limits };
  let engine: Engine | null = await start();
  const { tableChanges } = engine;
  let startedAtMs = performance.now();
  let deathsInRow = 0;
  let restarts = 0;
  let reason: string | null = null;
  let isStopping = false;
  let newest: DurablePosition | null = null;
  let pause: { readonly timer: NodeJS.Timeout; readonly end: () => void } | null = null;
  let giveUp!: (error: Error) => void;
  const failed = new Promise<Error>((resolve) => {
    giveUp = resolve;
  });
  let watching = watch(engine);

  function running(): Engine {
    if (engine !== null) return engine;
    throw new TreasuryError('TREASURY_ENGINE_UNAVAILABLE', `The engine is not running: ${reason}`, { retryable: true });
  }

  async function watch(current: Engine): Promise<void> {
    const death = await current.failed;
    engine = null;
    // One that has moved on has left the entries behind that the ones before it died of.
    if (performance.now() - startedAtMs > limits.engineRecoveredMs || current.hasCommitted()) deathsInRow = 0;
    await revive(death);
  }

  async function revive(death: Error): Promise<void> {
    let last = death;
    for (;;) {
      reason = errorMessage(last);
      if (isStopping) return;
      if (deathsInRow >= limits.engineRestartsMax) {
        logger.error('Engine stays down', { reason, restarts });
        return giveUp(last);
      }
      const waitMs = limits.engineRestartMinMs * 2 ** deathsInRow++;
      logger.warn('Engine will be started again', { reason, waitMs, attempt: deathsInRow });
      await waitFor(waitMs);
      if (isStopping) return;
      try {
        restarts++;
        const next = await start();
        engine = next;
        if (newest !== null) next.advance(newest);
        startedAtMs = performance.now();
        reason = null;
        logger.info('Engine runs again', { restarts });
        // `stop` waits for the watch that it finds; this one ends here.
        watching = watch(next);
        return;
      } catch (error) {
        last = error instanceof Error ? error : new Error(String(error));
      }
    }
  }

  function waitFor(ms: number): Promise<void> {
    return new Promise((resolve) => {
      pause = { timer: setTimeout(resolve, ms), end: resolve };
    });
  }

  return {
    failed,
    advance(position) {
      newest = position;
      engine?.advance(position);
    },
    sql: async (request, signal) => running().sql(request, signal),
    status: async () => running().status(),
    scanProjections: async () => running().scanProjections(),
    rebuildProjection: async (name) => running().rebuildProjection(name),
    cancelRebuild: async (name) => running().cancelRebuild(name),
    tableChanges,
    hasCommitted: () => engine?.hasCommitted() ?? false,
    health: () => ({ running: engine !== null, restarts, reason }),
    async stop(withinMs) {
      isStopping = true;
      if (pause !== null) {
        clearTimeout(pause.timer);
        pause.end();
      }
      // A start under way ends first: nothing may stay open.
      if (engine === null) await watching;
      reason ??= 'it was stopped';
      await engine?.stop(withinMs);
      engine = null;
    },
  };
}
