/** An answer of any length, no faster than its client reads, and cut when it does not. */
import type { ServerResponse } from 'node:http';
import { LIMITS } from '../../base/index.ts';
import type { PullPlace } from './pulls.ts';

/** Why an answer was left before its end. */
export type AnswerEnd = 'whole' | 'left' | 'stalled';

export interface PaceOptions {
  readonly stallMaxMs?: number;
  /** Told when the system has all of a chunk: its memory is free. */
  readonly onSent?: (chunk: Uint8Array) => void;
}

/**
 * Writes chunks as the client takes them. Never ends the response: a caller that is told `whole` does. Throws what `chunks` throws.
 */
export async function writePaced(
  response: ServerResponse,
  chunks: AsyncIterable<Uint8Array>,
  place: Pick<PullPlace, 'sent' | 'stalled'>,
  { stallMaxMs = LIMITS.pullStallMaxMs, onSent }: PaceOptions = {},
): Promise<AnswerEnd> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += LIMITS.pullWriteBytes) {
      const part = chunk.subarray(at, at + LIMITS.pullWriteBytes);
      // Memory that was given back has no length any more.
      const { length } = part;
      if (response.destroyed) return 'left';
      const isLast = at + length === chunk.length;
      const isWritten = response.write(part, (error) => {
        if (isLast && !error) onSent?.(chunk);
      });
      const isTaken = isWritten || (await drained(response, stallMaxMs));
      if (!isTaken) {
        if (response.destroyed) return 'left';
        place.stalled();
        return 'stalled';
      }
      place.sent(length);
    }
  }
  return response.destroyed ? 'left' : 'whole';
}

/** Whether the client took what was written; false when it left or did not read in time. */
function drained(response: ServerResponse, stallMaxMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isTaken: boolean) => {
      clearTimeout(timer);
      response.off('drain', onDrain);
      response.off('close', onClose);
      resolve(isTaken);
    };
    const onDrain = () => settle(true);
    const onClose = () => settle(false);
    const timer = setTimeout(() => settle(false), stallMaxMs);
    response.on('drain', onDrain);
    response.on('close', onClose);
  });
}
