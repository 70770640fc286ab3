/**
 * The Prometheus name of an attribute; undefined when it has none: an empty key, or nothing but what becomes `_`. Source: prometheus/otlptranslator
 * label_namer.go, with the defaults of Prometheus (runs of `_` become one; names that begin and end with `__` keep that).
 */
export function labelName(key: string, escapes: boolean): string | undefined {
  if (key === '') return undefined;
  const name = escapes ? withoutLeadingDigit(escaped(key)) : key;
  return /^_*$/.test(name) ? undefined : name;
}

function escaped(key: string): string {
  const isReserved = key.length >= 4 && key.startsWith('__') && key.endsWith('__');
  const inner = (isReserved ? key.slice(2, -2) : key).replace(/[^a-zA-Z0-9]+/gu, '_');
  return isReserved ? `__${inner}__` : inner;
}

function withoutLeadingDigit(name: string): string {
  return /^[0-9]/.test(name) ? `key_${name}` : name;
}
