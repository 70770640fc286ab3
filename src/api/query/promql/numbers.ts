import { quoteText } from './quote.ts';

/** A value, or what is wrong with the text in Prometheus' words. */
export type Parsed = { readonly value: number } | { readonly error: string };

/**
 * What a number of PromQL stands for: integers in decimal, octal (leading 0) or hexadecimal, decimal fractions, `Inf` and `NaN` in any case;
 * `_` may part digits. Numbers too large for a float are refused, not rounded to infinity.
 */
export function parseNumber(text: string): Parsed {
  const integer = parseInteger(text);
  if (integer !== undefined) return { value: integer };
  const lower = text.toLowerCase();
  if (lower === 'inf') return { value: Number.POSITIVE_INFINITY };
  if (lower === 'nan') return { value: Number.NaN };
  const isDecimal = /^(\d[\d_]*\.?[\d_]*|\.[\d_]+)(e[+-]?[\d_]+)?$/.test(lower) && areSeparatorsPlaced(lower);
  const complaint = `error parsing number: strconv.ParseFloat: parsing ${quoteText(text)}`;
  if (!isDecimal) return { error: `${complaint}: invalid syntax` };
  const value = Number(lower.replaceAll('_', ''));
  return Number.isFinite(value) ? { value } : { error: `${complaint}: value out of range` };
}

const INT64_MAX = 2n ** 63n - 1n;

/** The text as a whole number of 64 bits, `undefined` when it is none. */
function parseInteger(text: string): number | undefined {
  const match = /^(0[xX]_?)?([0-9a-fA-F_]+)$/.exec(text);
  if (match === null || !areSeparatorsPlaced(text)) return undefined;
  const digits = match[2]!.replaceAll('_', '');
  const isOctal = match[1] === undefined && digits.length > 1 && digits.startsWith('0');
  const prefix = match[1] === undefined ? (isOctal ? '0o' : '') : '0x';
  const alphabet = match[1] === undefined ? (isOctal ? /^[0-7]+$/ : /^\d+$/) : /^[\da-fA-F]+$/;
  if (!alphabet.test(digits)) return undefined;
  const value = BigInt(prefix + digits);
  return value <= INT64_MAX ? Number(value) : undefined;
}

/** `_` stands between two digits, or between `0x` (or the 0 of an octal number) and a digit. */
function areSeparatorsPlaced(text: string): boolean {
  if (!text.includes('_')) return true;
  const body = /^0x/i.test(text) ? `0${text.slice(2)}` : text;
  return !/(^|[^0-9a-fA-F])_|_($|[^0-9a-fA-F])/.test(body);
}

/** Units from large to small, in nanoseconds, since upstream's bound is one of nanoseconds. */
const UNITS: readonly (readonly [unit: string, nanoseconds: bigint])[] = [
  ['y', 365n * 86_400_000_000_000n],
  ['w', 7n * 86_400_000_000_000n],
  ['d', 86_400_000_000_000n],
  ['h', 3_600_000_000_000n],
  ['m', 60_000_000_000n],
  ['s', 1_000_000_000n],
  ['ms', 1_000_000n],
];

/** The milliseconds of a duration such as `1h30m`: whole numbers, each unit once, from large to small. */
export function parseDurationMs(text: string): Parsed {
  if (!/^(\d+\D+)+$/.test(text)) return { error: `not a valid duration string: ${quoteText(text)}` };
  let nanoseconds = 0n;
  let last = -1;
  for (const [, digits, unit] of text.matchAll(/(\d+)(\D+)/g)) {
    const rank = UNITS.findIndex(([name]) => name === unit);
    if (rank === -1) return { error: `unknown unit ${quoteText(unit!)} in duration ${quoteText(text)}` };
    if (rank <= last || BigInt(digits!) >= 2n ** 64n) {
      return { error: `not a valid duration string: ${quoteText(text)}` };
    }
    last = rank;
    nanoseconds += BigInt(digits!) * UNITS[rank]![1];
    if (nanoseconds > INT64_MAX) return { error: 'duration out of range' };
  }
  return { value: Number(nanoseconds / 1_000_000n) };
}

const FORMAT_UNITS: readonly (readonly [unit: string, ms: number, isExact: boolean])[] = [
  ['y', 365 * 86_400_000, true],
  ['w', 7 * 86_400_000, true],
  ['d', 86_400_000, false],
  ['h', 3_600_000, false],
  ['m', 60_000, false],
  ['s', 1000, false],
  ['ms', 1, false],
];

/** A duration as Prometheus writes it: `1h30m`, `-5s`, `0s`. Years and weeks only where nothing is left. */
export function formatDurationMs(ms: number): string {
  let rest = Math.abs(Math.trunc(ms));
  if (rest === 0) return '0s';
  let text = ms < 0 ? '-' : '';
  for (const [unit, size, isExact] of FORMAT_UNITS) {
    const count = Math.floor(rest / size);
    if (count === 0 || (isExact && rest % size !== 0)) continue;
    text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}
