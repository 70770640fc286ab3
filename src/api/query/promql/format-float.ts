/** A number as Prometheus answers it: all digits and no exponent (Go's 'f' with the shortest precision), `+Inf`, `-Inf`, `NaN`. */
export function formatFloat(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  if (!Number.isFinite(value)) return formatSpecial(value);
  const text = String(value);
  const exponentAt = text.indexOf('e');
  return exponentAt === -1 ? text : withoutExponent(text, exponentAt);
}

/** A number as upstream's messages have it: Go's `%g`, with an exponent from 1e+06 on and below 1e-04. */
export function formatShort(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  if (!Number.isFinite(value)) return formatSpecial(value);
  const [mantissa, exponentText] = value.toExponential().split('e') as [string, string];
  const exponent = Number(exponentText);
  if (exponent >= -4 && exponent < EXPONENT_FROM) return formatFloat(value);
  return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

/** From this power of ten on `%g` takes an exponent. */
const EXPONENT_FROM = 6;

function formatSpecial(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return value > 0 ? '+Inf' : '-Inf';
}

function withoutExponent(text: string, exponentAt: number): string {
  const exponent = Number(text.slice(exponentAt + 1));
  const isNegative = text.startsWith('-');
  const [whole, fraction = ''] = text.slice(isNegative ? 1 : 0, exponentAt).split('.') as [string, string?];
  const digits = whole + fraction;
  const point = whole.length + exponent;
  const sign = isNegative ? '-' : '';
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  if (point >= digits.length) return sign + digits + '0'.repeat(point - digits.length);
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}
