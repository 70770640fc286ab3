/** `GET /treasury/v1/log/offsets`: an offset of a time, or the times of an offset. */
import type { Context } from 'koa';
import { HttpError } from '../http/http-error.ts';
import type { HttpServices } from '../http/services.ts';
import { eventTimesOf, offsetAtTime } from './offsets.ts';
import { type Parameters, readParameters } from './parameters.ts';
import { parseTime, TIME_EXPECTED, timeText } from './times.ts';

const NAMES = ['received_at', 'event_time', 'offset'] as const;

/** Answers one of three questions, always in the same shape. Throws HttpError 400; OffsetOutOfRangeError for an offset that is not there. */
export async function serveOffsets(context: Context, services: HttpServices): Promise<void> {
  const parameters: Parameters<(typeof NAMES)[number]> = readParameters(context.URL.searchParams, NAMES);
  const given = NAMES.filter((name) => parameters.text(name) !== null);
  const [name] = given;
  if (name === undefined || given.length > 1) {
    const message = `Cannot find an offset: one of ${NAMES.join(', ')} must be given, ${given.join(', ') || 'none'} is`;
    throw new HttpError(400, 'TREASURY_PARAMETER_INVALID', message, { parameter: given.join(', ') });
  }
  const offset = name === 'offset' ? parameters.number('offset')! : await offsetOf(name);
  const { firstOffset, nextOffset } = services.log.status();
  // The tables may hold rows of entries that the log holds no more.
  const isBelow = name === 'event_time' && offset < firstOffset;
  const [receivedAtUnixNano, eventTimes] = await Promise.all([
    isBelow ? null : receiptOf(offset),
    eventTimesOf(services, offset),
  ]);
  context.body = {
    offset: Number(offset),
    receivedAt: receivedAtUnixNano === null ? null : timeText(receivedAtUnixNano),
    eventTimes: eventTimes === null ? null : { from: timeText(eventTimes.from), to: timeText(eventTimes.to) },
    firstOffset: Number(firstOffset),
    nextOffset: Number(nextOffset),
  };

  async function receiptOf(at: bigint): Promise<bigint | null> {
    return (await services.pulls.ask({ type: 'offset', offset: at })).receivedAtUnixNano;
  }

  function offsetOf(by: 'received_at' | 'event_time'): Promise<bigint> {
    const unixNano = parseTime(parameters.text(by)!);
    if (unixNano === null) parameters.refuse(by, TIME_EXPECTED);
    return offsetAtTime(services, by === 'received_at' ? { receivedAt: unixNano } : { eventTime: unixNano });
  }
}
