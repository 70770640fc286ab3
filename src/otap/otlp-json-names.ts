/** The messages of OTLP by the names of their fields in JSON: `timeUnixNano`, or `time_unix_nano` as the .proto files have it. */
import { assert, type Signal } from '../base/index.ts';
import { OTLP_MESSAGES, OTLP_REQUESTS, type OtlpField, type OtlpKind } from './otlp-messages.ts';
import { WIRE_TYPES } from './protobuf-reader.ts';

/** A field: how it is read from JSON and how it begins in protobuf. */
export interface JsonField {
  /** In lower camel case. */
  readonly name: string;
  readonly kind: OtlpKind;
  /** Field number and wire type: of a packed field when `isPacked`. */
  readonly tag: number;
  readonly isRepeated: boolean;
  readonly isPacked: boolean;
  /** For kind message. */
  readonly message: JsonMessage | null;
  /** For kind enum: its values by name. */
  readonly enumValues: ReadonlyMap<string, number> | null;
}

/** The enums of OTLP by the field that has them, as in proto/. A prefix goes before each name; the first value is 0. */
const ENUMS: ReadonlyMap<string, ReadonlyMap<string, number>> = new Map([
  [
    'severity_number',
    enumValues('SEVERITY_NUMBER_', [
      'UNSPECIFIED',
      ...['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'].flatMap((level) =>
        ['', '2', '3', '4'].map((grade) => level + grade),
      ),
    ]),
  ],
  ['kind', enumValues('SPAN_KIND_', ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'])],
  ['code', enumValues('STATUS_CODE_', ['UNSET', 'OK', 'ERROR'])],
  ['aggregation_temporality', enumValues('AGGREGATION_TEMPORALITY_', ['UNSPECIFIED', 'DELTA', 'CUMULATIVE'])],
]);

function enumValues(prefix: string, names: readonly string[]): ReadonlyMap<string, number> {
  return new Map(names.map((name, value) => [prefix + name, value]));
}

interface NamedField {
  readonly name: Buffer;
  readonly field: JsonField;
}

/** Hashes stay below 2^30: a Map takes those without boxing them. */
const HASH_MASK = 0x3fffffff;

/** A message that finds its fields by the bytes of their names. */
export class JsonMessage {
  readonly name: string;
  /** One level of nested AnyValues. */
  readonly isNesting: boolean;
  readonly #fields = new Map<number, NamedField>();

  constructor(name: string, isNesting: boolean) {
    this.name = name;
    this.isNesting = isNesting;
  }

  /** The field of this name, or null for one that is not known. */
  find(text: Buffer, start: number, end: number): JsonField | null {
    const named = this.#fields.get(hash(text, start, end));
    if (named === undefined || named.name.length !== end - start) return null;
    for (let at = 0; at < named.name.length; at++) {
      if (named.name[at] !== text[start + at]) return null;
    }
    return named.field;
  }

  add(name: string, field: JsonField): void {
    const bytes = Buffer.from(name);
    const key = hash(bytes, 0, bytes.length);
    assert(!this.#fields.has(key), `the hash of ${this.name}.${name} must be its own`);
    this.#fields.set(key, { name: bytes, field });
  }
}

function hash(text: Buffer, start: number, end: number): number {
  let value = end - start;
  for (let at = start; at < end; at++) value = (Math.imul(value, 31) + text[at]!) & HASH_MASK;
  return value;
}

const messages = OTLP_MESSAGES.map(({ name, isNesting }) => new JsonMessage(name, isNesting));
for (const { id, fields } of OTLP_MESSAGES) {
  for (const field of fields) {
    const jsonField = jsonFieldOf(field);
    messages[id]!.add(jsonField.name, jsonField);
    if (field.name !== jsonField.name) messages[id]!.add(field.name, jsonField);
  }
}

/** The request message of each signal. */
export const JSON_REQUESTS: Readonly<Record<Signal, JsonMessage>> = {
  logs: messages[OTLP_REQUESTS.logs.id]!,
  traces: messages[OTLP_REQUESTS.traces.id]!,
  metrics: messages[OTLP_REQUESTS.metrics.id]!,
};

function jsonFieldOf({ number, name, kind, wireType, isRepeated, elements, message }: OtlpField): JsonField {
  const isPacked = elements !== null;
  return {
    name: name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
    kind,
    tag: (number << 3) | (isPacked ? WIRE_TYPES.BYTES : wireType),
    isRepeated,
    isPacked,
    message: message === null ? null : messages[message.id]!,
    enumValues: kind === 'enum' ? ENUMS.get(name)! : null,
  };
}
