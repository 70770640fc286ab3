/**
 * Times as text: ISO 8601 in UTC with nanoseconds. Any 64 bits have a text, so a senseless timestamp in the data never fails a query.
 */

/** Nanoseconds of one unit of each timestamp type. */
export const NANOS_PER = { s: 1_000_000_000n, ms: 1_000_000n, us: 1_000n, ns: 1n } as const;

const NANOS_PER_SECOND = 1_000_000_000n;
const SECONDS_PER_DAY = 86_400;
const INT64_MAX = 9_223_372_036_854_775_807n;
const INT32_MAX = 2_147_483_647;

/** `2026-01-31T23:59:59.000000001Z` of a count of units since 1970. DuckDB's two infinite timestamps are `infinity` and `-infinity`. */
export function timestampText(value: bigint, nanosPerUnit: bigint): string {
  if (value === INT64_MAX) return 'infinity';
  if (value === -INT64_MAX) return '-infinity';
  const nanos = value * nanosPerUnit;
  const second = floorDivide(nanos, NANOS_PER_SECOND);
  const day = floorDivide(second, BigInt(SECONDS_PER_DAY));
  const secondOfDay = Number(second - day * BigInt(SECONDS_PER_DAY));
  const fraction = String(nanos - second * NANOS_PER_SECOND).padStart(9, '0');
  return `${civilDate(Number(day))}T${clock(secondOfDay)}.${fraction}Z`;
}

/** `2026-01-31` of a count of days since 1970. */
export function dateText(days: number): string {
  if (days === INT32_MAX) return 'infinity';
  if (days === -INT32_MAX) return '-infinity';
  return civilDate(days);
}

/** `23:59:59.000000001` of nanoseconds since midnight. */
export function timeText(nanos: bigint): string {
  if (nanos < 0n) return `-${timeText(-nanos)}`;
  const second = nanos / NANOS_PER_SECOND;
  return `${clock(Number(second))}.${String(nanos % NANOS_PER_SECOND).padStart(9, '0')}`;
}

/** `1 year 2 months 3 days 04:05:06.7` as DuckDB writes it. */
export function intervalText(months: number, days: number, nanos: bigint): string {
  const parts: string[] = [];
  const years = Math.trunc(months / 12);
  if (years !== 0) parts.push(plural(years, 'year'));
  if (months % 12 !== 0) parts.push(plural(months % 12, 'month'));
  if (days !== 0) parts.push(plural(days, 'day'));
  if (nanos !== 0n || parts.length === 0) parts.push(intervalClock(nanos));
  return parts.join(' ');
}

function intervalClock(nanos: bigint): string {
  const size = nanos < 0n ? -nanos : nanos;
  const fraction = String(size % NANOS_PER_SECOND)
    .padStart(9, '0')
    .replace(/0+$/, '');
  const text = clock(Number(size / NANOS_PER_SECOND));
  return `${nanos < 0n ? '-' : ''}${text}${fraction === '' ? '' : `.${fraction}`}`;
}

function plural(count: number, unit: string): string {
  return `${count} ${unit}${Math.abs(count) === 1 ? '' : 's'}`;
}

function clock(second: number): string {
  const hours = Math.floor(second / 3600);
  const minutes = Math.floor(second / 60) % 60;
  return `${two(hours)}:${two(minutes)}:${two(second % 60)}`;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}

const DAYS_PER_ERA = 146_097;
const YEARS_PER_ERA = 400;
/** Days from 0000-03-01 to 1970-01-01. */
const DAYS_TO_EPOCH = 719_468;

/** The proleptic Gregorian date of a day; years outside 0 to 9999 with a sign, as ISO 8601 expands them. */
function civilDate(day: number): string {
  const shifted = day + DAYS_TO_EPOCH;
  const era = Math.floor(shifted / DAYS_PER_ERA);
  const dayOfEra = shifted - era * DAYS_PER_ERA;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const dayOfMonth = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * YEARS_PER_ERA + (month <= 2 ? 1 : 0);
  return `${yearText(year)}-${two(month)}-${two(dayOfMonth)}`;
}

function yearText(year: number): string {
  if (year >= 0 && year <= 9999) return String(year).padStart(4, '0');
  return `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`;
}
