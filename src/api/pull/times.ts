/** Times as users write and read them: RFC 3339 with up to nine digits behind the second, or Unix nanoseconds. */

/** What `parseTime` takes, for messages. */
export const TIME_EXPECTED =
  'a time as in RFC 3339, or Unix nanoseconds, from 1677-09-21T00:12:43.145224194Z to 2262-04-11T23:47:16.854775806Z';

/** The Unix time in nanoseconds, or null when the text is no time, or none that tables can hold. */
export function parseTime(text: string): bigint | null {
  if (UNIX_NANO.test(text)) return inRange(BigInt(text));
  const match = RFC3339.exec(text);
  if (match === null) return null;
  const [, second, fraction = '', zone] = match as unknown as [string, string, string | undefined, string];
  const unixMs = Date.parse(`${second.replace(' ', 'T')}${zone.toUpperCase()}`);
  if (Number.isNaN(unixMs)) return null;
  return inRange(BigInt(unixMs) * 1_000_000n + BigInt(fraction.padEnd(9, '0')));
}

/** A Unix time in nanoseconds as RFC 3339 in UTC. */
export function timeText(unixNano: bigint): string {
  const fraction = ((unixNano % SECOND) + SECOND) % SECOND;
  const second = new Date(Number((unixNano - fraction) / 1_000_000n)).toISOString().slice(0, 19);
  return `${second}.${String(fraction).padStart(9, '0')}Z`;
}

const UNIX_NANO = /^-?\d{1,19}$/;
const RFC3339 = /^(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/;
const SECOND = 1_000_000_000n;
/** DuckDB takes the ends of 64 bits for infinite times, and one for none. */
const TIME_MAX = 2n ** 63n - 2n;

function inRange(unixNano: bigint): bigint | null {
  return unixNano >= -TIME_MAX && unixNano <= TIME_MAX ? unixNano : null;
}
