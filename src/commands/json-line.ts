/** A value as one line of JSON, 64-bit integers as strings. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value, (_key, field: unknown) => (typeof field === 'bigint' ? String(field) : field))}\n`;
}
