import { BatchMalformedError } from '../base/index.ts';
import { type CborValue, decodeCbor } from './cbor.ts';

/** What `cborToJson` could not read, counted for the caller. */
interface CborFaults {
  malformedValues: number;
}

/**
 * A CBOR value (attribute or body map, slice) as JSON text: maps are objects with their order and duplicate keys, integers are
 * exact at any size, bytes are base64 strings, NaN and the infinities are the strings "NaN", "Infinity", "-Infinity". A key that
 * is not a string becomes its JSON text. Bytes that are not CBOR become a base64 string and count in `faults`: never throws for
 * what is in the data.
 */
export function cborToJson(bytes: Uint8Array, faults?: CborFaults): string {
  let value: CborValue;
  try {
    value = decodeCbor(bytes);
  } catch (error) {
    if (!(error instanceof BatchMalformedError)) throw error;
    if (faults !== undefined) faults.malformedValues++;
    return `"${base64(bytes)}"`;
  }
  return toJson(value);
}

function toJson(value: CborValue): string {
  if (value === null) return 'null';
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      return numberJson(value);
    case 'bigint':
    case 'boolean':
      return String(value);
    default:
  }
  if (value instanceof Uint8Array) return `"${base64(value)}"`;
  if (isArray(value)) return `[${value.map(toJson).join(',')}]`;
  return `{${value.entries.map(([key, item]) => `${JSON.stringify(cborKeyText(key))}:${toJson(item)}`).join(',')}}`;
}

/** The key of a map as text: a string as it is, bytes in base64, any other value as its JSON text. */
export function cborKeyText(key: CborValue): string {
  if (typeof key === 'string') return key;
  return key instanceof Uint8Array ? base64(key) : toJson(key);
}

function numberJson(value: number): string {
  return Number.isFinite(value) ? doubleText(value) : `"${value}"`;
}

/** A double as JSON has it, with the sign of -0; NaN, Infinity and -Infinity by these names. */
export function doubleText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

/** `Array.isArray` does not narrow readonly arrays. */
export function isArray(value: CborValue): value is readonly CborValue[] {
  return Array.isArray(value);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
