/** A worker of exporters that does what a test says: starts and stops at once, tells progress on demand, dies on demand. */
import type { ExporterProgress, PushCommand, PushEvent, PushWorker } from '../../../src/api/push/types.ts';

export interface ScriptedWorker extends PushWorker {
  readonly commands: PushCommand[];
  /** Offset each running exporter was started from, by name. */
  readonly running: Map<string, bigint>;
  tell(progress: Partial<ExporterProgress> & { readonly name: string }): void;
  emit(event: PushEvent): void;
  die(message: string): void;
  /** Does not answer `stop` and `end` any more. */
  hang(): void;
}

export interface ScriptedWorkers {
  readonly start: (onEvent: (event: PushEvent) => void) => PushWorker;
  /** All that were started, oldest first. */
  readonly workers: ScriptedWorker[];
  readonly last: ScriptedWorker;
}

export function progressOf(progress: Partial<ExporterProgress> & { readonly name: string }): ExporterProgress {
  return {
    state: 'running',
    ackedOffset: 0n,
    readOffset: progress.ackedOffset ?? 0n,
    sentBatches: 0,
    sentItems: 0,
    sentBytes: 0,
    retries: 0,
    resentBatches: 0,
    filteredItems: 0,
    setAsideEntries: 0,
    lostEntries: 0n,
    error: null,
    ...progress,
  };
}

export function scriptedWorkers(): ScriptedWorkers {
  const workers: ScriptedWorker[] = [];
  return {
    workers,
    get last() {
      return workers.at(-1)!;
    },
    start(onEvent) {
      const worker = scriptedWorker(onEvent);
      workers.push(worker);
      return worker;
    },
  };
}

function scriptedWorker(onEvent: (event: PushEvent) => void): ScriptedWorker {
  let settle!: (error: Error | null) => void;
  const ended = new Promise<Error | null>((resolve) => (settle = resolve));
  const commands: PushCommand[] = [];
  const running = new Map<string, bigint>();
  const told = new Map<string, ExporterProgress>();
  let hangs = false;
  return {
    commands,
    running,
    ended,
    send(command) {
      commands.push(command);
      if (hangs) return;
      if (command.type === 'start') running.set(command.config.name, command.from);
      if (command.type === 'stop') {
        const from = running.get(command.name);
        running.delete(command.name);
        const progress = told.get(command.name) ?? progressOf({ name: command.name, ackedOffset: from ?? 0n });
        told.delete(command.name);
        queueMicrotask(() => onEvent({ type: 'stopped', name: command.name, progress }));
      }
      if (command.type === 'end') settle(null);
    },
    tell(progress) {
      told.set(progress.name, progressOf(progress));
      onEvent({ type: 'progress', progress: progressOf(progress) });
    },
    emit: onEvent,
    die: (message) => settle(new Error(message)),
    hang() {
      hangs = true;
    },
    terminate() {
      settle(null);
    },
  };
}
