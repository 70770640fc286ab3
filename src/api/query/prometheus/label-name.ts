/**
 * The Prometheus name of an attribute; undefined when it has none: an empty key, or nothing but what becomes `_`. Source: prometheus/otlptranslator
 * label_namer.go, with the defaults of Prometheus' configuration: each character that is not allowed becomes a `_` of its own, and a name may begin
 * with two of them but not with one.
 */
export function labelName(key: string, escapes: boolean): string | undefined {
  if (key === '') return undefined;
  const name = escapes ? withAllowedStart(key.replace(/[^a-zA-Z0-9]/gu, '_')) : key;
  return /^_*$/.test(name) ? undefined : name;
}

function withAllowedStart(name: string): string {
  if (/^[0-9]/.test(name)) return `key_${name}`;
  return /^_(?!_)/.test(name) ? `key${name}` : name;
}
