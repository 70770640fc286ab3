/** Places in the log as they are asked for: `start`, `end`, an offset, or a time of receipt in RFC 3339. */
import type { Log } from '../../log/index.ts';
import { parseTime } from '../pull/times.ts';

export interface LogPlaces {
  readonly log: Pick<Log, 'status'>;
  /** The first offset that was received at or after a time. */
  readonly offsetAtTime: (unixNano: bigint) => Promise<bigint>;
}

/** The offset of a place; null when the text is none. It may lie outside of the log. */
export async function offsetOfPlace(place: string, { log, offsetAtTime }: LogPlaces): Promise<bigint | null> {
  const { firstOffset, durableOffset } = log.status();
  if (place === 'start') return firstOffset;
  if (place === 'end') return durableOffset;
  if (/^\d{1,20}$/.test(place)) return BigInt(place);
  const unixNano = parseTime(place);
  return unixNano === null ? null : offsetAtTime(unixNano);
}
