/** The main thread's side of the exporters' thread. */
import { LIMITS, type Logger } from '../../base/index.ts';
import { createThreadEnd, ENDABLE_THREAD_FLAGS } from '../../materialize/index.ts';
import { startThread } from '../thread.ts';
import type { PushCommand, PushEvent, PushWorker } from './types.ts';
import type { PushWorkerData, WorkerCommand, WorkerMessage } from './worker-messages.ts';

const CUT: WorkerCommand = { type: 'cut' };

export interface PushWorkerOptions {
  /** Folder of the segments. */
  readonly logDirectory: string;
  /** Must not throw. */
  readonly onEvent: (event: PushEvent) => void;
  readonly logger: Logger;
}

/** Starts the thread that drives all exporters. */
export function startPushWorker({ logDirectory, onEvent, logger }: PushWorkerOptions): PushWorker {
  const threadEnd = createThreadEnd();
  const data: PushWorkerData = { logDirectory, nativeCalls: threadEnd.memory };
  const worker = startThread('./worker', import.meta.url, {
    workerData: data,
    name: 'push',
    execArgv: [...ENDABLE_THREAD_FLAGS],
    resourceLimits: { maxOldGenerationSizeMb: LIMITS.pushHeapMibMax },
  });
  const cut = threadEnd.of(worker, () => worker.postMessage(CUT));
  let late: NodeJS.Timeout | undefined;
  let failure: Error | null = null;
  let isEnding = false;
  let isOver = false;
  let isAdvancing = false;
  let nextAdvance: PushCommand | null = null;

  /** At most one `advance` is under way: a busy thread finds the newest position, not a queue of old ones. */
  function flushAdvance(): void {
    if (isAdvancing || nextAdvance === null || isOver) return;
    isAdvancing = true;
    worker.postMessage(nextAdvance);
    nextAdvance = null;
  }

  worker.on('message', (message: WorkerMessage) => {
    switch (message.type) {
      case 'event':
        return onEvent(message.event);
      case 'log':
        return logger[message.level](message.message, message.fields);
      case 'advanced':
        isAdvancing = false;
        return flushAdvance();
      case 'died':
        failure ??= new Error(message.reason);
        late ??= setTimeout(() => void cut(), LIMITS.pushWorkerStopMaxMs);
        return;
      case 'ended':
        void cut();
    }
  });
  worker.on('error', (error) => (failure = error instanceof Error ? error : new Error(String(error))));
  const ended = new Promise<Error | null>((resolve) => {
    worker.once('exit', (code) => {
      isOver = true;
      clearTimeout(late);
      resolve(
        isEnding && failure === null ? null : (failure ?? new Error(`The exporters' thread ended with code ${code}`)),
      );
    });
  });

  return {
    send(command) {
      if (isOver) return;
      if (command.type === 'advance') {
        const { durableOffset, segment, segmentBytes } = command.durable;
        nextAdvance = { type: 'advance', durable: { durableOffset, segment, segmentBytes } };
        flushAdvance();
        return;
      }
      if (command.type === 'end') isEnding = true;
      worker.postMessage(command);
    },
    ended,
    terminate() {
      isEnding = true;
      void cut();
    },
  };
}
