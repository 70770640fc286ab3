/** Durations and sizes as people write them on a command line. */

const MS_OF = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;
const BYTES_OF = {
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
} as const;
/** A century: longer is a slip of the fingers. */
const DURATION_MAX_MS = 36_525 * MS_OF.d;

/** Milliseconds of `7d`, `12h`, `1.5h`, `90m`, `30s` or `2w`. At most `msMax`. Throws an Error that says what is allowed. */
export function durationMs(text: string, msMax = DURATION_MAX_MS): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([smhdw])$/.exec(text) ?? [];
  const ms = Math.round(Number(digits) * MS_OF[(unit ?? 's') as keyof typeof MS_OF]);
  if (digits === undefined || ms < MS_OF.s || ms > msMax) {
    throw new Error(
      `it must be a number and one of s, m, h, d, w, such as 7d, 12h or 90m, from 1s to ${msMax / MS_OF.d}d`,
    );
  }
  return ms;
}

/** Bytes of `50GB`, `500MB`, `1.5TiB`, with units of 1000 or (`KiB`) of 1024. Throws an Error that says what is allowed. */
export function sizeBytes(text: string, bytesMin: number): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([kmgt]i?b)$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(digits) * BYTES_OF[(unit?.toLowerCase() ?? 'mb') as keyof typeof BYTES_OF]);
  if (digits === undefined || bytes < bytesMin || !Number.isSafeInteger(bytes)) {
    throw new Error(
      `it must be a number and one of KB, MB, GB, TB, KiB, MiB, GiB, TiB, such as 50GB or 500MB, and at least ${bytesMin / BYTES_OF.mb}MB`,
    );
  }
  return bytes;
}
