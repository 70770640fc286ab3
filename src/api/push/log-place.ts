/** Places in the log as they are asked for: `start`, `end`, an offset, a time of receipt in RFC 3339, or `event:` and a time of events. */
import type { Log } from '../../log/index.ts';
import { parseTime } from '../pull/times.ts';

export interface LogPlaces {
  readonly log: Pick<Log, 'status'>;
  readonly offsetAtTime: OffsetAtTime;
}

/** The first offset that was received, or that has something that happened, at or after a time. */
export type OffsetAtTime = (unixNano: bigint, by: 'receipt' | 'event') => Promise<bigint>;

/** What stands before a time of events. */
export const EVENT_TIME_PREFIX = 'event:';

/** The offset of a place; null when the text is none. It may lie outside of the log. */
export async function offsetOfPlace(place: string, { log, offsetAtTime }: LogPlaces): Promise<bigint | null> {
  const { firstOffset, durableOffset } = log.status();
  if (place === 'start') return firstOffset;
  if (place === 'end') return durableOffset;
  if (/^\d{1,20}$/.test(place)) return BigInt(place);
  const isEvent = place.startsWith(EVENT_TIME_PREFIX);
  const unixNano = parseTime(isEvent ? place.slice(EVENT_TIME_PREFIX.length) : place);
  return unixNano === null ? null : offsetAtTime(unixNano, isEvent ? 'event' : 'receipt');
}
