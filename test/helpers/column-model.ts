/**
 * A plain model of column data for tests of column writers: types as a tree, values as plain JavaScript, and the ways from there
 * to DDL, to `VectorData`, and back from what DuckDB answers. Written apart from the code under test.
 */
import {
  DuckDBBlobValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBUUIDValue,
  type DuckDBValue,
} from '@duckdb/node-api';
import fc from 'fast-check';
import { GrowableStringArena } from '../../src/materialize/string-arena.ts';
import type { VectorData } from '../../src/materialize/vectors.ts';

export type ModelType =
  | { readonly of: (typeof LEAVES)[number] }
  | { readonly of: 'list'; readonly child: ModelType }
  | { readonly of: 'map'; readonly value: ModelType }
  | { readonly of: 'struct'; readonly fields: readonly ModelType[] };

/** Numbers and bigints as such, UUIDs as text, BLOBs as bytes, structs and lists as arrays, maps as arrays of [key, value]. */
export type ModelValue = null | boolean | number | bigint | string | Uint8Array | readonly ModelValue[];

const LEAVES = [
  'BOOLEAN',
  'TINYINT',
  'UTINYINT',
  'SMALLINT',
  'USMALLINT',
  'INTEGER',
  'UINTEGER',
  'BIGINT',
  'UBIGINT',
  'DOUBLE',
  'TIMESTAMP_NS',
  'UUID',
  'VARCHAR',
  'BLOB',
] as const;

const leaf: fc.Arbitrary<ModelType> = fc.constantFrom(...LEAVES).map((of) => ({ of }));

/** Types nested up to three levels. */
export const modelType: fc.Arbitrary<ModelType> = fc.letrec<{ type: ModelType }>((tie) => ({
  type: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    leaf,
    tie('type').map((child) => ({ of: 'list' as const, child })),
    tie('type').map((value) => ({ of: 'map' as const, value })),
    fc.array(tie('type'), { minLength: 1, maxLength: 3 }).map((fields) => ({ of: 'struct' as const, fields })),
  ),
})).type;

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom(
    '',
    'twelve bytes',
    'thirteen byte',
    'nul\0inside',
    'nul\0inside a longer string',
    '\0',
    'ü'.repeat(6),
  ),
);

/** Values of a type, a quarter of them null at every level. */
export function modelValue(type: ModelType): fc.Arbitrary<ModelValue> {
  return fc.option(presentValue(type), { freq: 3 });
}

function presentValue(type: ModelType): fc.Arbitrary<ModelValue> {
  switch (type.of) {
    case 'BOOLEAN':
      return fc.boolean();
    case 'TINYINT':
      return fc.integer({ min: -128, max: 127 });
    case 'UTINYINT':
      return fc.integer({ min: 0, max: 255 });
    case 'SMALLINT':
      return fc.integer({ min: -32768, max: 32767 });
    case 'USMALLINT':
      return fc.integer({ min: 0, max: 65535 });
    case 'INTEGER':
      return fc.integer();
    case 'UINTEGER':
      return fc.integer({ min: 0, max: 0xffffffff });
    case 'BIGINT':
      return fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n);
    case 'UBIGINT':
      return fc.bigInt(0n, 2n ** 64n - 1n);
    case 'DOUBLE':
      return fc.double();
    case 'TIMESTAMP_NS':
      return fc.oneof(fc.constantFrom(-(2n ** 63n), 2n ** 63n - 1n, 0n), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n));
    case 'UUID':
      return fc.uuid();
    case 'VARCHAR':
      return text;
    case 'BLOB':
      return fc.uint8Array({ maxLength: 20 });
    case 'list':
      return fc.array(modelValue(type.child), { maxLength: 4 });
    case 'map':
      return fc.array(fc.tuple(text, modelValue(type.value)), { maxLength: 4 });
    case 'struct':
      return fc.tuple(...type.fields.map((field) => modelValue(field)));
  }
}

export function ddlOf(type: ModelType): string {
  switch (type.of) {
    case 'list':
      return `${ddlOf(type.child)}[]`;
    case 'map':
      return `MAP(VARCHAR, ${ddlOf(type.value)})`;
    case 'struct':
      return `STRUCT(${type.fields.map((field, i) => `f${i} ${ddlOf(field)}`).join(', ')})`;
    default:
      return type.of;
  }
}

const TEXT: ModelType = { of: 'VARCHAR' };
const encoder = new TextEncoder();

/**
 * Column data of values. Unkind where it may be: junk stands under nulls, lists begin behind the child's first row and null lists
 * skip children; columns of one value are constants.
 */
export function encodeColumn(type: ModelType, values: readonly ModelValue[], arena: GrowableStringArena): VectorData {
  const count = values.length;
  if (count > 0 && values.every((value) => value === null)) return { kind: 'constant', value: null };
  const validity = values.includes(null) ? Uint8Array.from(values, (value) => (value === null ? 0 : 255)) : null;
  switch (type.of) {
    case 'UUID': {
      const bytes = values.map((value) => Buffer.from(String(value ?? '7'.repeat(32)).replaceAll('-', ''), 'hex'));
      return { kind: 'uuid', values: Buffer.concat(bytes), validity };
    }
    case 'VARCHAR':
    case 'BLOB': {
      const first = values[0];
      if (count > 1 && typeof first === 'string' && values.every((value) => value === first)) {
        return { kind: 'constant', value: first };
      }
      const words = arena.takeWords(count);
      for (const [row, value] of values.entries()) {
        const bytes = value instanceof Uint8Array ? value : encoder.encode(typeof value === 'string' ? value : 'junk');
        arena.add(words, row, bytes, 0, bytes.length);
      }
      return { kind: 'string', arena, words, validity };
    }
    case 'list':
    case 'map': {
      const elementType: ModelType = type.of === 'list' ? type.child : { of: 'struct', fields: [TEXT, type.value] };
      const junk: ModelValue = type.of === 'list' ? null : ['junk', null];
      const elements: ModelValue[] = [junk];
      const offsets = new Int32Array(count + 1);
      offsets[0] = 1;
      for (const [row, value] of values.entries()) {
        if (value === null) elements.push(junk);
        else elements.push(...(value as readonly ModelValue[]));
        offsets[row + 1] = elements.length;
      }
      return { kind: 'list', offsets, child: encodeColumn(elementType, elements, arena), validity };
    }
    case 'struct': {
      const children = type.fields.map((field, i) => {
        const fieldValues = values.map((value) => (value === null ? junkOf(field) : (value as ModelValue[])[i]!));
        return encodeColumn(field, fieldValues, arena);
      });
      return { kind: 'struct', children, validity };
    }
    default:
      return { kind: 'fixed', values: fixedValues(type.of, values), validity };
  }
}

/** A value that must not show through a null struct around it. */
function junkOf(type: ModelType): ModelValue {
  switch (type.of) {
    case 'VARCHAR':
      return 'junk under a null struct';
    case 'UTINYINT':
      return 9;
    default:
      return null;
  }
}

function fixedValues(of: string, values: readonly ModelValue[]) {
  const numbers = () => values.map((value) => Number(value ?? 1));
  const bigints = () => values.map((value) => BigInt((value as bigint | null) ?? 77n));
  switch (of) {
    case 'BOOLEAN':
    case 'UTINYINT':
      return Uint8Array.from(numbers());
    case 'TINYINT':
      return Int8Array.from(numbers());
    case 'SMALLINT':
      return Int16Array.from(numbers());
    case 'USMALLINT':
      return Uint16Array.from(numbers());
    case 'INTEGER':
      return Int32Array.from(numbers());
    case 'UINTEGER':
      return Uint32Array.from(numbers());
    case 'UBIGINT':
      return BigUint64Array.from(bigints());
    case 'DOUBLE':
      return Float64Array.from(numbers());
    default:
      return BigInt64Array.from(bigints());
  }
}

/** What DuckDB answered, in the model's form. */
export function decodeValue(value: DuckDBValue): ModelValue {
  if (value instanceof DuckDBListValue) return value.items.map((item) => decodeValue(item));
  if (value instanceof DuckDBStructValue) return Object.values(value.entries).map((entry) => decodeValue(entry));
  if (value instanceof DuckDBMapValue) {
    return value.entries.map((entry) => [decodeValue(entry.key), decodeValue(entry.value)]);
  }
  if (value instanceof DuckDBBlobValue) return new Uint8Array(value.bytes);
  if (value instanceof DuckDBUUIDValue) return value.toString();
  if (value instanceof DuckDBTimestampNanosecondsValue) return value.nanos;
  return value as ModelValue;
}
