/**
 * Random OTLP requests written field by field: any order, fields of one value several times, messages in pieces, packed and unpacked
 * numbers, unknown fields, and varints, lengths and tags with more bytes than they need. All of it is sound protobuf, and what it
 * means is for protobuf-es to say. A generator that repairs writes U+FFFD where the same generator without writes invalid UTF-8,
 * and is else the same.
 */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import type { Signal } from '../../src/base/index.ts';
import { ExportLogsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { ExportMetricsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { ExportTraceServiceRequestSchema } from '../gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js';
import { type Random, seededRandom } from './random.ts';

export interface WireMessageOptions {
  /** Probability that a string is invalid UTF-8. */
  readonly invalidText?: number;
  /** Writes the repaired form of strings that are invalid. */
  readonly repair?: boolean;
  /** Probability that a field of one value, or a member of its oneof, comes more than once. */
  readonly repeats?: number;
  /** Writes entity references, which the server skips as unknown bytes and protobuf-es reads. */
  readonly entityRefs?: boolean;
}

const REQUESTS = {
  logs: ExportLogsServiceRequestSchema,
  traces: ExportTraceServiceRequestSchema,
  metrics: ExportMetricsServiceRequestSchema,
} satisfies Record<Signal, DescMessage>;

/** A request of about some kilobytes. The same seed and options give the same bytes. */
export function randomRequest(signal: Signal, seed: number, options: WireMessageOptions = {}): Buffer {
  const { invalidText = 0, repair = false, repeats = 0.15, entityRefs = true } = options;
  return new MessageWriter(seededRandom(seed), { invalidText, repair, repeats, entityRefs }).message(
    REQUESTS[signal],
    0,
  );
}

/** A field of wire type 2: for requests written by hand. */
export function lengthField(number: number, content: Uint8Array): Buffer {
  return Buffer.concat([varint(BigInt(number * 8 + 2)), varint(BigInt(content.length)), content]);
}

/** A field of wire type 0. */
export function varintField(number: number, value: bigint): Buffer {
  return Buffer.concat([varint(BigInt(number * 8)), varint(value)]);
}

/** A field of wire type 1. */
export function fixed64Field(number: number, value: bigint): Buffer {
  return Buffer.concat([varint(BigInt(number * 8 + 1)), fixed64(value)]);
}

/** The low 64 bits as a varint, with `padding` bytes more than it needs. */
export function varint(value: bigint, padding = 0): Buffer {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, value);
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  bytes.push(Number(left));
  for (let i = 0; i < padding; i++) {
    bytes[bytes.length - 1]! |= 0x80;
    bytes.push(0);
  }
  return Buffer.from(bytes);
}

export function fixed64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
}

const NESTING_MAX = 9;
/** Above are request, resources and scopes: they have all fields, so that there are rows. */
const GROUP_DEPTH = 3;
const FIELD_PROBABILITY = 0.7;
const PADDING_PROBABILITY = 0.03;
const UNKNOWN_PROBABILITY = 0.05;
const VARINT_BYTES_MAX = 10;
const LENGTH_BYTES_MAX = 5;
const TEXTS = ['', 'a', 'service.name', 'http.method', 'GET /items/{id}', 'wörd €', '😀', '日本語', 'x'.repeat(200)];
const INVALID_TEXTS = [
  [0xff],
  [0xc3],
  [0x61, 0xe2, 0x82],
  [0xed, 0xa0, 0x80],
  [0xf0, 0x9f, 0x98, 0x61],
  [0x62, 0xc0, 0x80, 0x63],
];
const INTEGERS = [
  0n,
  1n,
  127n,
  128n,
  300n,
  65_536n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  2n ** 63n,
  -1n,
  -2n,
  -25n,
];
const DOUBLES = [0, -0, 1, -1.5, NaN, Infinity, -Infinity, Number.MAX_VALUE, Number.MIN_VALUE, 0.1];
/** Identifiers have these lengths or none. */
const IDENTIFIER_BYTES: Readonly<Record<string, number>> = { trace_id: 16, span_id: 8, parent_span_id: 8 };

class MessageWriter {
  readonly #random: Random;
  readonly #options: Required<WireMessageOptions>;

  constructor(random: Random, options: Required<WireMessageOptions>) {
    this.#random = random;
    this.#options = options;
  }

  message(message: DescMessage, depth: number): Buffer {
    const fields: Buffer[] = [];
    const taken = new Set<string>();
    for (const field of this.#shuffled(message.fields)) {
      if (depth >= GROUP_DEPTH && !this.#chance(FIELD_PROBABILITY)) continue;
      const oneof = field.oneof?.name;
      if (oneof !== undefined && taken.has(oneof) && !this.#chance(this.#options.repeats)) continue;
      if (oneof !== undefined) taken.add(oneof);
      if (this.#isTooDeep(field, depth)) continue;
      if (field.name === 'entity_refs' && !this.#options.entityRefs) continue;
      for (let left = this.#occurrences(field, depth); left > 0; left--) fields.push(this.#field(field, depth));
    }
    while (this.#chance(UNKNOWN_PROBABILITY)) fields.push(this.#unknown());
    return Buffer.concat(this.#chance(0.5) ? this.#shuffled(fields) : fields);
  }

  #isTooDeep(field: DescField, depth: number): boolean {
    return depth >= NESTING_MAX && field.message !== undefined && field.message.name !== 'AnyValue';
  }

  #occurrences(field: DescField, depth: number): number {
    if (field.fieldKind === 'list') return depth < GROUP_DEPTH ? 1 + this.#random.below(2) : this.#random.below(3);
    return this.#chance(this.#options.repeats) ? 2 + this.#random.below(2) : 1;
  }

  #field(field: DescField, depth: number): Buffer {
    if (field.message !== undefined) return this.#bytesField(field.number, this.message(field.message, depth + 1));
    const scalar = field.scalar ?? ScalarType.INT32;
    if (scalar === ScalarType.STRING) return this.#bytesField(field.number, this.#text());
    if (scalar === ScalarType.BYTES) return this.#bytesField(field.number, this.#bytes(field.name));
    if (field.fieldKind === 'list' && this.#chance(0.5)) {
      const items = Array.from({ length: this.#random.below(4) }, () => this.#number(scalar).bytes);
      return this.#bytesField(field.number, Buffer.concat(items));
    }
    const { wireType, bytes } = this.#number(scalar);
    return Buffer.concat([this.#tag(field.number, wireType), bytes]);
  }

  #number(scalar: ScalarType): { wireType: number; bytes: Buffer } {
    switch (scalar) {
      case ScalarType.DOUBLE: {
        const bytes = Buffer.alloc(8);
        bytes.writeDoubleLE(this.#random.pick(DOUBLES));
        return { wireType: 1, bytes };
      }
      case ScalarType.FIXED64:
      case ScalarType.SFIXED64:
        return { wireType: 1, bytes: fixed64(this.#integer()) };
      case ScalarType.FIXED32:
        return { wireType: 5, bytes: fixed64(this.#integer()).subarray(0, 4) };
      default:
        return { wireType: 0, bytes: this.#varint(this.#integer(), VARINT_BYTES_MAX) };
    }
  }

  #unknown(): Buffer {
    const number = this.#random.pick([17, 31, 32, 63, 1000, 536_870_911]);
    const wireType = this.#random.pick([0, 1, 2, 5]);
    if (wireType === 2) return this.#bytesField(number, Buffer.alloc(this.#random.below(20), this.#random.below(256)));
    const bytes = wireType === 0 ? this.#varint(this.#integer(), VARINT_BYTES_MAX) : fixed64(this.#integer());
    return Buffer.concat([this.#tag(number, wireType), wireType === 5 ? bytes.subarray(0, 4) : bytes]);
  }

  #bytesField(number: number, content: Uint8Array): Buffer {
    const length = this.#varint(BigInt(content.length), LENGTH_BYTES_MAX);
    return Buffer.concat([this.#tag(number, 2), length, content]);
  }

  #tag(number: number, wireType: number): Buffer {
    return this.#varint(BigInt(number) * 8n + BigInt(wireType), LENGTH_BYTES_MAX);
  }

  /** Now and then with more bytes than it needs, up to `bytesMax`. */
  #varint(value: bigint, bytesMax: number): Buffer {
    const bytes = varint(value);
    if (!this.#chance(PADDING_PROBABILITY)) return bytes;
    return varint(value, this.#random.below(bytesMax - bytes.length + 1));
  }

  #text(): Buffer {
    const text = Buffer.from(this.#random.pick(TEXTS));
    if (!this.#chance(this.#options.invalidText)) return text;
    const invalid = Buffer.concat([text, Buffer.from(this.#random.pick(INVALID_TEXTS))]);
    return this.#options.repair ? Buffer.from(new TextDecoder().decode(invalid)) : invalid;
  }

  #bytes(name: string): Buffer {
    const length = IDENTIFIER_BYTES[name] ?? this.#random.below(20);
    return Buffer.alloc(this.#chance(0.2) ? 0 : length, this.#random.below(4));
  }

  #integer(): bigint {
    return this.#chance(0.5) ? BigInt(this.#random.below(30)) : this.#random.pick(INTEGERS);
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability;
  }

  #shuffled<Item>(items: readonly Item[]): Item[] {
    const shuffled = [...items];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const other = this.#random.below(i + 1);
      [shuffled[i], shuffled[other]] = [shuffled[other]!, shuffled[i]!];
    }
    return shuffled;
  }
}
