/** The thread of pulls: reads and checks the log for all of them, each at the speed of its client. */
import { parentPort, workerData } from 'node:worker_threads';
import { collectAtRest, errorMessage, type SerializedError, TreasuryError } from '../../base/index.ts';
import { answerQuestion } from './log-questions.ts';
import { createLogPulls } from './log-pulls.ts';
import type { PullCommand, PullEvent, PullWorkerData } from './types.ts';

const port = parentPort!;
const data = workerData as PullWorkerData;
const post = (event: PullEvent, transfer: readonly ArrayBuffer[] = []) => port.postMessage(event, transfer);
const pulls = createLogPulls(data, post, serialized);
collectAtRest();

port.on('message', (command: PullCommand) => {
  switch (command.type) {
    case 'pull':
      return pulls.start(command.id, command.request, command.durable);
    case 'advance':
      pulls.advance(command.durable);
      return post({ type: 'advanced' });
    case 'credit':
      return pulls.credit(command.id, command.bytes);
    case 'memory':
      return pulls.giveBack(command.memory);
    case 'cancel':
      return pulls.cancel(command.id);
    case 'ask':
      try {
        const answer = answerQuestion(data.logDirectory, command.question, command.durable);
        return post({ type: 'answer', id: command.id, answer });
      } catch (error) {
        return post({ type: 'error', id: command.id, error: serialized(error) });
      }
  }
});

function serialized(error: unknown): SerializedError {
  if (error instanceof TreasuryError) return error.toJSON();
  const message = `Cannot read the log: ${errorMessage(error)}`;
  return new TreasuryError('TREASURY_PULL_UNAVAILABLE', message, { retryable: true, cause: error }).toJSON();
}
