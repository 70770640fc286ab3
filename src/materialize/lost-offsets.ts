/** Offsets that the log had deleted before they were in the tables. */
import { LIMITS } from '../base/index.ts';
import type { LostOffsets } from './types.ts';

/** Nothing lost yet. */
export function noLostOffsets(): LostOffsets {
  return { total: 0n, newest: [] };
}

/** With one more range, whose offsets are above all before it unless the tables were built anew in between. */
export function withLost({ total, newest }: LostOffsets, from: bigint, to: bigint): LostOffsets {
  const last = newest[0];
  const isNext = last?.to === from;
  const range = { from: isNext ? last.from : from, to };
  return {
    total: total + to - from,
    newest: [range, ...newest.slice(isNext ? 1 : 0)].slice(0, LIMITS.lostRangesShownMax),
  };
}
