/** Random OTLP export requests for properties: every field that the server reads, with the values that tend to go wrong. */
import { create, type DescField, type DescMessage, type Message, ScalarType } from '@bufbuild/protobuf';
import fc from 'fast-check';
import type { Signal } from '../../src/base/index.ts';
import { HEX_FIELDS, OTLP_REQUEST_SCHEMAS } from './otlp-json.ts';

interface RequestOptions {
  /** Without ids they are empty. */
  readonly hasIds: boolean;
}

/** Requests of a signal. */
export function arbitraryRequest(signal: Signal, options: RequestOptions = { hasIds: true }): fc.Arbitrary<Message> {
  return arbitraryMessage(OTLP_REQUEST_SCHEMAS[signal], LEVELS_MAX, options);
}

/** Messages inside messages: four down to a data point, and some for its values. */
const LEVELS_MAX = 10;
const LIST_LENGTH_MAX = 3;
const UINT64_MAX = 2n ** 64n - 1n;
const INT64_MAX = 2n ** 63n - 1n;
/** Any character: fast-check's own unit for that takes seconds to build. */
export const anyCharacter: fc.Arbitrary<string> = fc
  .integer({ min: 0, max: 0x10ffff })
  .map((code) => String.fromCodePoint(code >= 0xd800 && code < 0xe000 ? 0xfffd : code));
/** Characters that JSON escapes, and any other. */
const stringUnit = fc.oneof(fc.constantFrom('"', '\\', '/', '\u0000', '\n', '\u007f', '😀'), anyCharacter);
/** Not among what the server reads. */
const UNREAD_FIELDS: ReadonlySet<string> = new Set(['entity_refs']);

function arbitraryMessage(desc: DescMessage, levels: number, options: RequestOptions): fc.Arbitrary<Message> {
  const members: Record<string, fc.Arbitrary<unknown>> = {};
  for (const member of desc.members) {
    if (member.kind === 'oneof') {
      const cases = member.fields
        .filter((field) => isRead(field, levels))
        .map((field) => arbitraryField(field, levels, options).map((value) => ({ case: field.localName, value })));
      if (cases.length > 0) members[member.localName] = fc.oneof(...cases);
    } else if (isRead(member, levels)) {
      members[member.localName] = arbitraryField(member, levels, options);
    }
  }
  return fc.record(members, { requiredKeys: [] }).map((init) => create(desc, init));
}

function isRead(field: DescField, levels: number): boolean {
  return !UNREAD_FIELDS.has(field.name) && (field.message === undefined || levels > 0);
}

function arbitraryField(field: DescField, levels: number, options: RequestOptions): fc.Arbitrary<unknown> {
  switch (field.fieldKind) {
    case 'message':
      return arbitraryMessage(field.message, levels - 1, options);
    case 'enum':
      return fc.oneof(fc.integer({ min: 0, max: 24 }), fc.integer());
    case 'scalar':
      return HEX_FIELDS.has(field.name) && !options.hasIds
        ? fc.constant(new Uint8Array(0))
        : arbitraryScalar(field.scalar);
    case 'list':
      return fc.array(
        field.listKind === 'message'
          ? arbitraryMessage(field.message, levels - 1, options)
          : arbitraryScalar(field.listKind === 'scalar' ? field.scalar : ScalarType.INT32),
        { maxLength: LIST_LENGTH_MAX },
      );
    default:
      throw new Error(`Cannot make ${field}: OTLP has no maps`);
  }
}

function arbitraryScalar(scalar: ScalarType): fc.Arbitrary<unknown> {
  switch (scalar) {
    case ScalarType.STRING:
      return fc.string({ unit: stringUnit });
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 20 });
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.DOUBLE:
      return fc.oneof(fc.double(), fc.integer());
    case ScalarType.FIXED64:
    case ScalarType.UINT64:
      return fc.oneof(fc.bigInt({ min: 0n, max: UINT64_MAX }), fc.constantFrom(0n, INT64_MAX, UINT64_MAX));
    case ScalarType.SFIXED64:
    case ScalarType.INT64:
      return fc.oneof(
        fc.bigInt({ min: -INT64_MAX - 1n, max: INT64_MAX }),
        fc.constantFrom(0n, -1n, INT64_MAX, -INT64_MAX - 1n),
      );
    case ScalarType.FIXED32:
    case ScalarType.UINT32:
      return fc.integer({ min: 0, max: 2 ** 32 - 1 });
    case ScalarType.SINT32:
      return fc.integer();
    default:
      throw new Error(`Cannot make a value: its type is ${ScalarType[scalar]}`);
  }
}
