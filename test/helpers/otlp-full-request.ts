/** Requests in which every field of every message is set, each to a value of its own that is not its default. */
import { create, type DescField, type DescMessage, type DescOneof, type Message, ScalarType } from '@bufbuild/protobuf';
import { reflect, type ReflectMessage } from '@bufbuild/protobuf/reflect';
import type { Signal } from '../../src/base/index.ts';
import { HEX_FIELDS, OTLP_REQUEST_SCHEMAS } from './otlp-json.ts';

/** What `withoutField` takes out: a field by its message. */
export interface FieldName {
  readonly message: string;
  readonly field: string;
}

/**
 * The request of a signal, with so many resources, and scopes in each. Other lists are long enough for every member of every oneof,
 * numbers need all their bits.
 */
export function fullRequest(signal: Signal, groups = 2): Message {
  return new RequestFiller(groups).message(OTLP_REQUEST_SCHEMAS[signal], 0);
}

/** The fields of all messages of a signal's request, less those that the server does not read. */
export function fieldNames(signal: Signal): FieldName[] {
  const seen = new Set<DescMessage>();
  const visit = (message: DescMessage): FieldName[] => {
    if (seen.has(message)) return [];
    seen.add(message);
    return message.fields
      .filter(isRead)
      .flatMap((field) => [
        { message: message.typeName, field: field.name },
        ...(field.message === undefined ? [] : visit(field.message)),
      ]);
  };
  return visit(OTLP_REQUEST_SCHEMAS[signal]);
}

/** Clears a field in all messages of its type, in place. */
export function withoutField(signal: Signal, request: Message, name: FieldName): Message {
  const clear = (message: ReflectMessage): void => {
    for (const field of message.fields) {
      if (message.desc.typeName === name.message && field.name === name.field) message.clear(field);
      if (field.message === undefined || !message.isSet(field)) continue;
      if (field.fieldKind === 'message') clear(message.get(field));
      else if (field.fieldKind === 'list') for (const item of message.get(field)) clear(item as ReflectMessage);
    }
  };
  const schema: DescMessage = OTLP_REQUEST_SCHEMAS[signal];
  clear(reflect(schema, request));
  return request;
}

/** Not among what the server reads. */
const UNREAD_FIELDS: ReadonlySet<string> = new Set(['entity_refs']);
const CONTAINERS: ReadonlySet<string> = new Set(['ArrayValue', 'KeyValueList']);
/** Arrays and maps inside arrays and maps. */
const NESTING_MAX = 2;
const NESTED_LENGTH = 3;

function isRead(field: DescField): boolean {
  return !UNREAD_FIELDS.has(field.name);
}

class RequestFiller {
  readonly #groups: number;
  readonly #turns = new Map<DescOneof, number>();
  #count = 0;

  constructor(groups: number) {
    this.#groups = groups;
  }

  message(message: DescMessage, nesting: number): Message {
    const level = CONTAINERS.has(message.name) ? nesting + 1 : nesting;
    const members: Record<string, unknown> = {};
    for (const member of message.members) {
      if (member.kind === 'oneof') {
        const field = this.#nextMember(member, level);
        members[member.localName] = { case: field.localName, value: this.#value(field, level) };
      } else if (isRead(member)) {
        members[member.localName] = this.#value(member, level);
      }
    }
    return create(message, members);
  }

  /** The members of a oneof in turns. */
  #nextMember(oneof: DescOneof, nesting: number): DescField {
    const fields = oneof.fields.filter(({ message }) => nesting < NESTING_MAX || !CONTAINERS.has(message?.name ?? ''));
    const turn = this.#turns.get(oneof) ?? 0;
    this.#turns.set(oneof, turn + 1);
    return fields[turn % fields.length]!;
  }

  #value(field: DescField, nesting: number): unknown {
    switch (field.fieldKind) {
      case 'message':
        return this.message(field.message, nesting);
      case 'enum':
        return 1 + (this.#next() % 2);
      case 'scalar':
        return this.#scalar(field, field.scalar);
      case 'list':
        return Array.from({ length: nesting === 0 ? this.#lengthOf(field) : NESTED_LENGTH }, () =>
          field.message === undefined
            ? this.#scalar(field, field.scalar ?? ScalarType.INT32)
            : this.message(field.message, nesting),
        );
      default:
        throw new Error(`Cannot fill ${field}: OTLP has no maps`);
    }
  }

  #scalar(field: DescField, scalar: ScalarType): unknown {
    const next = this.#next();
    switch (scalar) {
      case ScalarType.STRING:
        return `${field.name} ${next} ü`;
      case ScalarType.BYTES:
        return HEX_FIELDS.has(field.name) ? identifier(field.name, next) : Buffer.from(`bytes ${next}`);
      case ScalarType.BOOL:
        return true;
      case ScalarType.DOUBLE:
        return next + 0.1;
      case ScalarType.FIXED64:
      case ScalarType.UINT64:
        return 2n ** 63n + 2n ** 53n + 1n + 2n * BigInt(next);
      case ScalarType.SFIXED64:
      case ScalarType.INT64:
        return -(2n ** 62n) - 1n - 2n * BigInt(next);
      case ScalarType.FIXED32:
      case ScalarType.UINT32:
        return 2 ** 31 + next;
      case ScalarType.SINT32:
        return -next;
      default:
        throw new Error(`Cannot fill ${field}: its type is ${ScalarType[scalar]}`);
    }
  }

  /** Attributes: one for each kind of value. Metrics: one for each kind of data. */
  #lengthOf({ name, message }: DescField): number {
    if (/^(resource|scope)_/.test(name)) return this.#groups;
    const oneof = message?.oneofs[0] ?? message?.fields.find((field) => field.name === 'value')?.message?.oneofs[0];
    return Math.max(2, oneof?.fields.length ?? 0);
  }

  #next(): number {
    this.#count++;
    return this.#count;
  }
}

function identifier(name: string, value: number): Buffer {
  const bytes = Buffer.alloc(name === 'trace_id' ? 16 : 8, 0x80);
  bytes.writeUInt32BE(value, bytes.length - 4);
  return bytes;
}
