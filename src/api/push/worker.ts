/** The entry of the exporters' thread. `startPushWorker` spawns it. */
import { parentPort, workerData } from 'node:worker_threads';
import { assert, collectAtRest, errorMessage, type Logger, type LogLevel } from '../../base/index.ts';
import { endNativeCalls, exitAfterNativeCalls, showNativeCalls } from '../../materialize/index.ts';
import { createPushEngine } from './push-engine.ts';
import type { PushWorkerData, WorkerCommand, WorkerMessage } from './worker-messages.ts';

assert(parentPort !== null, 'exporters must run in a worker thread');
const port = parentPort;
const { logDirectory, nativeCalls } = workerData as PushWorkerData;
showNativeCalls(nativeCalls);
exitAfterNativeCalls((code) => post({ type: 'died', reason: `The exporters' thread ended with code ${code}` }));
collectAtRest();

function post(message: WorkerMessage): void {
  port.postMessage(message);
}

/** Log lines are written by the main thread: one writer, one format. */
function portLogger(): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
      const plain = Object.entries(fields).map(([name, value]) => [
        name,
        value instanceof Error ? value.message : value,
      ]);
      post({ type: 'log', level, message, fields: Object.fromEntries(plain) as Record<string, unknown> });
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

const engine = createPushEngine({
  logDirectory,
  onEvent: (event) => post({ type: 'event', event }),
  logger: portLogger(),
});
port.on('message', (command: WorkerCommand) => {
  if (command.type === 'cut') return void endNativeCalls();
  engine.handle(command);
  return command.type === 'advance' ? post({ type: 'advanced' }) : undefined;
});
// A thread that ends while DuckDB works for it takes the process down: what is under way ends in order.
process.on('uncaughtException', (error) => {
  post({ type: 'died', reason: errorMessage(error) });
  engine.handle({ type: 'end' });
});
await engine.ended;
post({ type: 'ended' });
