/** Events and links of spans while they are filled, with their attributes. */
import type { TracesBatch } from './canonical.ts';
import { AttributesFiller } from './otlp-attributes.ts';
import { IdentifierFiller, rowNumbers, U32Filler, WordsFiller } from './otlp-columns.ts';
import type { OtlpFill } from './otlp-fill.ts';
import { OTLP_ROWS } from './otlp-messages.ts';
import { StringFiller } from './otlp-strings.ts';

const EVENT = { TIME_UNIX_NANO: 1, NAME: 2, ATTRIBUTES: 3, DROPPED_ATTRIBUTES_COUNT: 4 } as const;
const LINK = {
  TRACE_ID: 1,
  SPAN_ID: 2,
  TRACE_STATE: 3,
  ATTRIBUTES: 4,
  DROPPED_ATTRIBUTES_COUNT: 5,
  FLAGS: 6,
} as const;

export class SpanEventsFiller {
  readonly #fill: OtlpFill;
  readonly #attributes: AttributesFiller;
  readonly #parentId: Uint32Array;
  readonly #time: WordsFiller;
  readonly #name: StringFiller;
  readonly #dropped: U32Filler;
  #rowCount = 0;

  constructor(fill: OtlpFill) {
    const capacity = fill.countOf(OTLP_ROWS.spanEvents);
    this.#fill = fill;
    this.#attributes = new AttributesFiller(fill, OTLP_ROWS.spanEventAttrs);
    this.#parentId = new Uint32Array(capacity);
    this.#time = new WordsFiller(capacity);
    this.#name = new StringFiller(fill.wire.bytes, capacity);
    this.#dropped = new U32Filler(capacity);
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Reads an event behind its tag. */
  read(parent: number): void {
    const { wire } = this.#fill;
    const end = wire.valueEnd();
    const row = this.#rowCount++;
    this.#parentId[row] = parent;
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case EVENT.TIME_UNIX_NANO:
          this.#time.read(wire, row);
          break;
        case EVENT.NAME:
          this.#name.read(wire, row);
          break;
        case EVENT.ATTRIBUTES:
          this.#attributes.read(row);
          break;
        case EVENT.DROPPED_ATTRIBUTES_COUNT:
          this.#dropped.set(row, wire.uint32());
          break;
        default:
          wire.skip(tag);
      }
    }
  }

  finish(): Pick<TracesBatch, 'spanEvents' | 'spanEventAttrs'> {
    const rowCount = this.#rowCount;
    if (rowCount === 0) return { spanEvents: null, spanEventAttrs: null };
    const spanEventAttrs = this.#attributes.finish();
    const spanEvents = {
      rowCount,
      id: spanEventAttrs === null ? null : rowNumbers(rowCount),
      parentId: { values: this.#parentId.subarray(0, rowCount), validity: null },
      timeUnixNano: this.#time.finishSigned(rowCount),
      name: this.#name.finishText(rowCount, this.#fill.repairs),
      droppedAttributesCount: this.#dropped.finish(rowCount),
    };
    return { spanEvents, spanEventAttrs };
  }
}

export class SpanLinksFiller {
  readonly #fill: OtlpFill;
  readonly #attributes: AttributesFiller;
  readonly #parentId: Uint32Array;
  readonly #traceId: IdentifierFiller;
  readonly #spanId: IdentifierFiller;
  readonly #traceState: StringFiller;
  readonly #dropped: U32Filler;
  readonly #flags: U32Filler;
  #rowCount = 0;

  constructor(fill: OtlpFill) {
    const capacity = fill.countOf(OTLP_ROWS.spanLinks);
    this.#fill = fill;
    this.#attributes = new AttributesFiller(fill, OTLP_ROWS.spanLinkAttrs);
    this.#parentId = new Uint32Array(capacity);
    this.#traceId = new IdentifierFiller(capacity, 16);
    this.#spanId = new IdentifierFiller(capacity, 8);
    this.#traceState = new StringFiller(fill.wire.bytes, capacity);
    this.#dropped = new U32Filler(capacity);
    this.#flags = new U32Filler(capacity);
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Reads a link behind its tag. */
  read(parent: number): void {
    const { wire } = this.#fill;
    const end = wire.valueEnd();
    const row = this.#rowCount++;
    this.#parentId[row] = parent;
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case LINK.TRACE_ID:
          this.#traceId.read(wire, row);
          break;
        case LINK.SPAN_ID:
          this.#spanId.read(wire, row);
          break;
        case LINK.TRACE_STATE:
          this.#traceState.read(wire, row);
          break;
        case LINK.ATTRIBUTES:
          this.#attributes.read(row);
          break;
        case LINK.DROPPED_ATTRIBUTES_COUNT:
          this.#dropped.set(row, wire.uint32());
          break;
        case LINK.FLAGS:
          this.#flags.set(row, wire.fixed32());
          break;
        default:
          wire.skip(tag);
      }
    }
  }

  finish(): Pick<TracesBatch, 'spanLinks' | 'spanLinkAttrs'> {
    const rowCount = this.#rowCount;
    if (rowCount === 0) return { spanLinks: null, spanLinkAttrs: null };
    const spanLinkAttrs = this.#attributes.finish();
    const spanLinks = {
      rowCount,
      id: spanLinkAttrs === null ? null : rowNumbers(rowCount),
      parentId: { values: this.#parentId.subarray(0, rowCount), validity: null },
      traceId: this.#traceId.finish(rowCount),
      spanId: this.#spanId.finish(rowCount),
      traceState: this.#traceState.finishText(rowCount, this.#fill.repairs),
      droppedAttributesCount: this.#dropped.finish(rowCount),
      flags: this.#flags.finish(rowCount),
    };
    return { spanLinks, spanLinkAttrs };
  }
}
