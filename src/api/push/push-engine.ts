/** All exporters of a thread: commands in, events out. Knows nothing of threads. */
import { errorMessage, LIMITS, type Logger } from '../../base/index.ts';
import type { DurablePosition } from '../../log/index.ts';
import type { OpenSender } from './open-sender.ts';
import { type FolderLimits, startFolderPipeline } from './folder-pipeline.ts';
import { type Pipeline, startPipeline } from './pipeline.ts';
import type { PushCommand, PushEvent, SetAsideEntry } from './types.ts';

export interface PushEngineOptions {
  readonly logDirectory: string;
  readonly onEvent: (event: PushEvent) => void;
  readonly logger: Logger;
  /** Replace single ones of `LIMITS`. */
  readonly limits?: Partial<FolderLimits & { readonly pushProgressIntervalMs: number }>;
  readonly openSender?: OpenSender;
}

export interface PushEngine {
  handle(command: PushCommand): void;
  /** Settles after `end`, when all exporters are stopped. Never rejects. */
  readonly ended: Promise<void>;
}

type StartCommand = Extract<PushCommand, { type: 'start' }>;

interface Running {
  readonly pipeline: Pipeline;
  stopping: Promise<void> | null;
  /** Set when it is to start again as soon as it has stopped. */
  successor: StartCommand | null;
  isChanged: boolean;
}

/** Makes the thread's engine. Commands for an exporter that does not run are ignored, but that `stop` is always answered. */
export function createPushEngine(options: PushEngineOptions): PushEngine {
  const { onEvent, logger } = options;
  const intervalMs = options.limits?.pushProgressIntervalMs ?? LIMITS.pushProgressIntervalMs;
  const exporters = new Map<string, Running>();
  let durable: DurablePosition | null = null;
  let timer: NodeJS.Timeout | undefined;
  let ending = false;
  let settleEnded!: () => void;
  const ended = new Promise<void>((resolve) => (settleEnded = resolve));

  function handle(command: PushCommand): void {
    switch (command.type) {
      case 'start':
        return start(command);
      case 'advance':
        return advance(command.durable);
      case 'stop':
        return stop(command.name);
      case 'end':
        ending = true;
        for (const name of exporters.keys()) stop(name);
        endIfIdle();
    }
  }

  function start(command: StartCommand): void {
    const { config, from } = command;
    const { name } = config;
    if (ending) return;
    const older = exporters.get(name);
    if (older !== undefined) {
      older.successor = command;
      stop(name);
      return;
    }
    advance(command.durable);
    const running: Omit<Running, 'pipeline'> = { stopping: null, successor: null, isChanged: true };
    const { protocol } = config;
    const common = {
      ...options,
      from,
      durable: durable ?? command.durable,
      onChange: () => {
        running.isChanged = true;
        tellSoon();
      },
      onSetAside: (entry: SetAsideEntry) => onEvent({ type: 'set-aside', name, entries: [entry] }),
    };
    const pipeline =
      protocol === 'parquet'
        ? startFolderPipeline({ ...common, config })
        : startPipeline({ ...common, config: { ...config, protocol } });
    exporters.set(name, Object.assign(running, { pipeline }));
    tellSoon();
  }

  function advance(position: DurablePosition): void {
    if (durable !== null && position.durableOffset <= durable.durableOffset) return;
    durable = position;
    for (const { pipeline } of exporters.values()) pipeline.advance(position);
  }

  function stop(name: string): void {
    const running = exporters.get(name);
    if (running === undefined || running.stopping !== null) return;
    running.stopping = running.pipeline
      .stop()
      .catch((error: unknown) =>
        logger.error('Exporter did not stop cleanly', { exporter: name, error: errorMessage(error) }),
      )
      .then(() => {
        exporters.delete(name);
        onEvent({ type: 'stopped', name, progress: running.pipeline.progress });
        if (running.successor !== null) start(running.successor);
        endIfIdle();
      });
  }

  function endIfIdle(): void {
    if (!ending || exporters.size > 0) return;
    clearTimeout(timer);
    settleEnded();
  }

  /** At intervals while something moves; nothing is told, and nobody wakes up, while nothing does. */
  function tellSoon(): void {
    timer ??= setTimeout(tell, intervalMs);
  }

  function tell(): void {
    timer = undefined;
    for (const running of exporters.values()) {
      if (!running.isChanged || running.stopping !== null) continue;
      running.isChanged = false;
      onEvent({ type: 'progress', progress: running.pipeline.progress });
    }
  }

  return { handle, ended };
}
