/** Numbers for people: sizes, durations, times. */

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** At most four digits and a unit. */
export function bytesText(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  return power === 0 ? `${bytes} bytes` : `${(bytes / 1024 ** power).toFixed(1)} ${UNITS[power]}`;
}

/** Hours, minutes and seconds, as far as they are needed. */
export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const NANOS_PER_MILLI = 1_000_000n;

/** ISO 8601 with milliseconds; null stays null. */
export function timeText(unixNano: bigint): string;
export function timeText(unixNano: bigint | null): string | null;
export function timeText(unixNano: bigint | null): string | null {
  return unixNano === null ? null : new Date(Number(unixNano / NANOS_PER_MILLI)).toISOString();
}
