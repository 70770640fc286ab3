/** Values of parameters, read as strictly and refused in the same words as Prometheus does. */
import { LIMITS } from '../../base/index.ts';
import { parseDurationMs } from '../query/promql/numbers.ts';
import { quoteText } from '../query/promql/quote.ts';
import { invalidParameter } from './failure.ts';
import type { Form } from './form.ts';

/** The first and the last time that there are to Prometheus, in Unix milliseconds. */
export const TIME_MIN_MS = Number(-(2n ** 63n) + 62_135_596_801_000n);
export const TIME_MAX_MS = Number(2n ** 63n - 62_135_596_801_000n);

/** A time in Unix milliseconds, `defaultMs` when it is not given. */
export function timeParameter(form: Form, name: string, defaultMs: number): number {
  const text = form.get(name);
  if (text === '') return defaultMs;
  const timeMs = readTimeMs(text);
  if (timeMs === undefined) {
    throw invalidParameter(name, `invalid time value for '${name}': ${noTime(text)}`);
  }
  return timeMs;
}

/** A time that has to be given. */
export function neededTime(form: Form, name: string): number {
  const timeMs = readTimeMs(form.get(name));
  if (timeMs === undefined) throw invalidParameter(name, noTime(form.get(name)));
  return timeMs;
}

/** Seconds as a number, or a duration such as `1h30m`. In nanoseconds, whole ones. What is wrong otherwise. */
export function readDuration(text: string): { readonly nanoseconds: number } | { readonly error: string } {
  const seconds = INFINITY.test(text) ? Number.POSITIVE_INFINITY : readFloat(text);
  if (seconds !== undefined) {
    const nanoseconds = Math.trunc(seconds * 1e9);
    if (!(Math.abs(nanoseconds) <= NANOSECONDS_MAX))
      return { error: `cannot parse ${quoteText(text)} to a valid duration. It overflows int64` };
    return { nanoseconds };
  }
  const parsed = parseDurationMs(text);
  if ('value' in parsed) return { nanoseconds: parsed.value * 1e6 };
  return { error: `cannot parse ${quoteText(text)} to a valid duration` };
}

/** A duration that may be missing, in milliseconds. */
export function durationParameter(form: Form, name: string): number | undefined {
  const text = form.get(name);
  if (text === '') return undefined;
  const duration = readDuration(text);
  if ('error' in duration) throw invalidParameter(name, duration.error);
  return duration.nanoseconds / 1e6;
}

/** How many items are wanted; 0: all. */
export function limitParameter(form: Form): number {
  const text = form.get('limit');
  if (text === '') return 0;
  const limit = readInteger(text);
  if (typeof limit !== 'number')
    throw invalidParameter('limit', `strconv.Atoi: parsing ${quoteText(text)}: ${limit.error}`);
  if (limit < 0) throw invalidParameter('limit', 'limit must be non-negative');
  return limit;
}

/** A whole number in decimal, or what Go says of the text. */
export function readInteger(
  text: string,
  bits: 32 | 64 = 64,
): number | { readonly error: 'invalid syntax' | 'value out of range' } {
  if (!/^[+-]?\d+$/.test(text)) return { error: 'invalid syntax' };
  const value = BigInt(text.replace(/^\+/, ''));
  return value === BigInt.asIntN(bits, value) ? Number(value) : { error: 'value out of range' };
}

/** Whether a range has more steps than an answer may have. */
export function hasTooManySteps(rangeMs: number, stepNanoseconds: number): boolean {
  return Math.trunc((rangeMs * 1e6) / stepNanoseconds) > LIMITS.prometheusPointsMax;
}

const NANOSECONDS_MAX = 2 ** 63;
/** Numbers as Go's ParseFloat reads them. */
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const HEXADECIMAL = /^([+-]?)0x([\da-f]+\.?[\da-f]*|\.[\da-f]+)p([+-]?\d+)$/i;
/** `_` stands between digits, or behind `0x`. */
const STRAY_SEPARATOR = /(^|[^\da-fx])_|_($|[^\da-f])/i;
const INFINITY = /^[+-]?inf(inity)?$/i;
const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)([.,]\d+)?(Z|[+-]\d\d:\d\d)$/;
/** How Prometheus writes its first and last time. */
const TIME_MIN = '-292273086-05-16T16:47:06Z';
const TIME_MAX = '292277025-08-18T07:12:54.999999999Z';

function noTime(text: string): string {
  return `cannot parse ${quoteText(text)} to a valid timestamp`;
}

function readFloat(text: string): number | undefined {
  if (text.includes('_') && STRAY_SEPARATOR.test(text)) return undefined;
  const digits = text.replaceAll('_', '');
  const value = DECIMAL.test(digits) ? Number(digits) : readHexadecimal(digits);
  return Number.isFinite(value) ? value : undefined;
}

/** NaN when it is none. */
function readHexadecimal(text: string): number {
  const [, sign, mantissa = '', exponent] = HEXADECIMAL.exec(text) ?? [];
  if (exponent === undefined) return Number.NaN;
  const [whole = '', fraction = ''] = mantissa.split('.');
  const value = Number(BigInt(`0x0${whole}${fraction}`)) * 2 ** (Number(exponent) - 4 * fraction.length);
  return sign === '-' ? -value : value;
}

function readTimeMs(text: string): number | undefined {
  const seconds = readFloat(text);
  if (seconds !== undefined) {
    const whole = Math.trunc(seconds);
    return inRange(whole * 1000 + roundAway((seconds - whole) * 1000));
  }
  if (text === TIME_MIN) return TIME_MIN_MS;
  if (text === TIME_MAX) return TIME_MAX_MS;
  return readRfc3339(text);
}

/** Go rounds halves away from zero. */
function roundAway(value: number): number {
  return Math.sign(value) * Math.round(Math.abs(value));
}

/** Numbers that 64 bits of milliseconds do not hold are cut to the outermost times. */
function inRange(timeMs: number): number {
  return Math.min(Math.max(timeMs, TIME_MIN_MS), TIME_MAX_MS);
}

function readRfc3339(text: string): number | undefined {
  const [, year, month, day, hour, minute, second, fraction = '', zone] = RFC3339.exec(text) ?? [];
  if (zone === undefined) return undefined;
  const [zoneHour, zoneMinute] = zone === 'Z' ? [0, 0] : (zone.slice(1).split(':').map(Number) as [number, number]);
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59 || zoneHour > 24 || zoneMinute > 60)
    return undefined;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day)) return undefined;
  date.setUTCHours(Number(hour), Number(minute), Number(second));
  const zoneMs = (zoneHour * 60 + zoneMinute) * 60_000 * (zone.startsWith('-') ? -1 : 1);
  return date.getTime() - zoneMs + Number(fraction.slice(1, 4).padEnd(3, '0'));
}
