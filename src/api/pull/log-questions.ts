/** Where a time of receipt is in the log, found by reading the heads of frames. */
import { readReceivedAt, firstReceivedSince, type DurablePosition } from '../../log/index.ts';
import type { LogAnswer, LogQuestion } from './types.ts';

/** The answer; throws OffsetOutOfRangeError with both bounds where the log has none. */
export function answerQuestion(directory: string, question: LogQuestion, durable: DurablePosition): LogAnswer {
  if (question.type === 'received-at') return firstReceivedSince(directory, question.unixNano, durable);
  const { offset } = question;
  return { offset, receivedAtUnixNano: readReceivedAt(directory, offset, durable) };
}
