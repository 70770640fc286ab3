import type { AttributesTable, ExemplarsTable } from './canonical.ts';
import { AttributesFiller } from './otlp-attributes.ts';
import { IdentifierFiller, OptionalWordsFiller, rowNumbers, WordsFiller } from './otlp-columns.ts';
import type { OtlpFill } from './otlp-fill.ts';
import type { OtlpMessage } from './otlp-messages.ts';

const FIELD = {
  TIME_UNIX_NANO: 2,
  AS_DOUBLE: 3,
  SPAN_ID: 4,
  TRACE_ID: 5,
  AS_INT: 6,
  FILTERED_ATTRIBUTES: 7,
} as const;

/** Exemplars of one kind of data points while they are filled. */
export class ExemplarsFiller {
  readonly #fill: OtlpFill;
  readonly #attributes: AttributesFiller;
  readonly #parentId: Uint32Array;
  readonly #time: WordsFiller;
  readonly #int: OptionalWordsFiller;
  readonly #double: OptionalWordsFiller;
  readonly #spanId: IdentifierFiller;
  readonly #traceId: IdentifierFiller;
  #rowCount = 0;

  constructor(fill: OtlpFill, exemplar: OtlpMessage, attribute: OtlpMessage) {
    const capacity = fill.countOf(exemplar);
    this.#fill = fill;
    this.#attributes = new AttributesFiller(fill, attribute);
    this.#parentId = new Uint32Array(capacity);
    this.#time = new WordsFiller(capacity);
    this.#int = new OptionalWordsFiller(capacity);
    this.#double = new OptionalWordsFiller(capacity);
    this.#spanId = new IdentifierFiller(capacity, 8);
    this.#traceId = new IdentifierFiller(capacity, 16);
  }

  /** Reads an exemplar behind its tag. */
  read(point: number): void {
    const { wire } = this.#fill;
    const end = wire.valueEnd();
    const row = this.#rowCount++;
    this.#parentId[row] = point;
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case FIELD.TIME_UNIX_NANO:
          this.#time.read(wire, row);
          break;
        case FIELD.AS_DOUBLE:
          this.#double.read(wire, row);
          this.#int.clear(row);
          break;
        case FIELD.SPAN_ID:
          this.#spanId.read(wire, row);
          break;
        case FIELD.TRACE_ID:
          this.#traceId.read(wire, row);
          break;
        case FIELD.AS_INT:
          this.#int.read(wire, row);
          this.#double.clear(row);
          break;
        case FIELD.FILTERED_ATTRIBUTES:
          this.#attributes.read(row);
          break;
        default:
          wire.skip(tag);
      }
    }
  }

  finish(): { exemplars: ExemplarsTable | null; attributes: AttributesTable | null } {
    const rowCount = this.#rowCount;
    const attributes = this.#attributes.finish();
    if (rowCount === 0) return { exemplars: null, attributes };
    const exemplars = {
      rowCount,
      id: attributes === null ? null : rowNumbers(rowCount),
      parentId: { values: this.#parentId.subarray(0, rowCount), validity: null },
      timeUnixNano: this.#time.finishSigned(rowCount),
      intValue: this.#int.finishSigned(rowCount),
      doubleValue: this.#double.finishDouble(rowCount),
      spanId: this.#spanId.finish(rowCount),
      traceId: this.#traceId.finish(rowCount),
    };
    return { exemplars, attributes };
  }
}
