import type { TracesBatch } from './canonical.ts';
import { AttributesFiller } from './otlp-attributes.ts';
import { IdentifierFiller, U32Filler, WordsFiller } from './otlp-columns.ts';
import type { OtlpFill } from './otlp-fill.ts';
import { OTLP_ROWS } from './otlp-messages.ts';
import { RootFiller, type RootRows } from './otlp-root-columns.ts';
import { SpanEventsFiller, SpanLinksFiller } from './otlp-span-children.ts';
import { StringFiller } from './otlp-strings.ts';

/** The rows of an ExportTraceServiceRequest. */
export function readOtlpSpans(fill: OtlpFill): TracesBatch {
  const spans = new SpansFiller(fill);
  const root = new RootFiller(fill, OTLP_ROWS.spans, spans);
  root.readRequest();
  const spanAttrs = spans.attributes.finish();
  const { events, links } = spans;
  const hasChildren = spanAttrs !== null || events.rowCount > 0 || links.rowCount > 0;
  const table = { ...root.finishColumns(hasChildren), ...spans.finish() };
  return { signal: 'traces', spans: table, spanAttrs, ...events.finish(), ...links.finish(), ...root.finishFacts() };
}

const FIELD = {
  TRACE_ID: 1,
  SPAN_ID: 2,
  TRACE_STATE: 3,
  PARENT_SPAN_ID: 4,
  NAME: 5,
  KIND: 6,
  START_TIME_UNIX_NANO: 7,
  END_TIME_UNIX_NANO: 8,
  ATTRIBUTES: 9,
  DROPPED_ATTRIBUTES_COUNT: 10,
  EVENTS: 11,
  DROPPED_EVENTS_COUNT: 12,
  LINKS: 13,
  DROPPED_LINKS_COUNT: 14,
  STATUS: 15,
  FLAGS: 16,
} as const;
const STATUS = { MESSAGE: 2, CODE: 3 } as const;

class SpansFiller implements RootRows {
  readonly attributes: AttributesFiller;
  readonly events: SpanEventsFiller;
  readonly links: SpanLinksFiller;
  readonly #fill: OtlpFill;
  readonly #startTime: WordsFiller;
  readonly #duration: WordsFiller;
  readonly #traceId: IdentifierFiller;
  readonly #spanId: IdentifierFiller;
  readonly #traceState: StringFiller;
  readonly #parentSpanId: IdentifierFiller;
  readonly #name: StringFiller;
  readonly #kind: U32Filler;
  readonly #dropped: U32Filler;
  readonly #droppedEvents: U32Filler;
  readonly #droppedLinks: U32Filler;
  readonly #statusCode: U32Filler;
  readonly #statusMessage: StringFiller;
  readonly #flags: U32Filler;
  #rowCount = 0;

  constructor(fill: OtlpFill) {
    const capacity = fill.countOf(OTLP_ROWS.spans);
    const { bytes } = fill.wire;
    this.#fill = fill;
    this.attributes = new AttributesFiller(fill, OTLP_ROWS.spanAttrs);
    this.events = new SpanEventsFiller(fill);
    this.links = new SpanLinksFiller(fill);
    this.#startTime = new WordsFiller(capacity);
    this.#duration = new WordsFiller(capacity);
    this.#traceId = new IdentifierFiller(capacity, 16);
    this.#spanId = new IdentifierFiller(capacity, 8);
    this.#traceState = new StringFiller(bytes, capacity);
    this.#parentSpanId = new IdentifierFiller(capacity, 8);
    this.#name = new StringFiller(bytes, capacity);
    this.#kind = new U32Filler(capacity);
    this.#dropped = new U32Filler(capacity);
    this.#droppedEvents = new U32Filler(capacity);
    this.#droppedLinks = new U32Filler(capacity);
    this.#statusCode = new U32Filler(capacity);
    this.#statusMessage = new StringFiller(bytes, capacity);
    this.#flags = new U32Filler(capacity);
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  read(end: number): void {
    const { wire } = this.#fill;
    const row = this.#rowCount++;
    let [startLow, startHigh, endLow, endHigh] = [0, 0, 0, 0];
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case FIELD.TRACE_ID:
          this.#traceId.read(wire, row);
          break;
        case FIELD.SPAN_ID:
          this.#spanId.read(wire, row);
          break;
        case FIELD.TRACE_STATE:
          this.#traceState.read(wire, row);
          break;
        case FIELD.PARENT_SPAN_ID:
          this.#parentSpanId.read(wire, row);
          break;
        case FIELD.NAME:
          this.#name.read(wire, row);
          break;
        case FIELD.KIND:
          this.#kind.set(row, wire.uint32());
          break;
        case FIELD.START_TIME_UNIX_NANO:
          wire.fixed64();
          startLow = wire.low;
          startHigh = wire.high;
          break;
        case FIELD.END_TIME_UNIX_NANO:
          wire.fixed64();
          endLow = wire.low;
          endHigh = wire.high;
          break;
        case FIELD.ATTRIBUTES:
          this.attributes.read(row);
          break;
        case FIELD.DROPPED_ATTRIBUTES_COUNT:
          this.#dropped.set(row, wire.uint32());
          break;
        case FIELD.EVENTS:
          this.events.read(row);
          break;
        case FIELD.DROPPED_EVENTS_COUNT:
          this.#droppedEvents.set(row, wire.uint32());
          break;
        case FIELD.LINKS:
          this.links.read(row);
          break;
        case FIELD.DROPPED_LINKS_COUNT:
          this.#droppedLinks.set(row, wire.uint32());
          break;
        case FIELD.STATUS:
          this.#readStatus(row);
          break;
        case FIELD.FLAGS:
          this.#flags.set(row, wire.fixed32());
          break;
        default:
          wire.skip(tag);
      }
    }
    this.#startTime.set(row, startLow, startHigh);
    const borrow = endLow < startLow ? 1 : 0;
    this.#duration.set(row, (endLow - startLow) >>> 0, (endHigh - startHigh - borrow) >>> 0);
  }

  finish() {
    const rows = this.#rowCount;
    const { repairs } = this.#fill;
    return {
      startTimeUnixNano: this.#startTime.finishSigned(rows),
      durationTimeUnixNano: this.#duration.finishSigned(rows),
      traceId: this.#traceId.finish(rows),
      spanId: this.#spanId.finish(rows),
      traceState: this.#traceState.finishText(rows, repairs),
      parentSpanId: this.#parentSpanId.finish(rows),
      name: this.#name.finishText(rows, repairs),
      kind: this.#kind.finishSigned(rows),
      droppedAttributesCount: this.#dropped.finish(rows),
      droppedEventsCount: this.#droppedEvents.finish(rows),
      droppedLinksCount: this.#droppedLinks.finish(rows),
      statusCode: this.#statusCode.finishSigned(rows),
      statusMessage: this.#statusMessage.finishText(rows, repairs),
      flags: this.#flags.finish(rows),
    };
  }

  #readStatus(row: number): void {
    const { wire } = this.#fill;
    const end = wire.valueEnd();
    while (wire.at < end) {
      const tag = wire.tag();
      if (tag >>> 3 === STATUS.MESSAGE) this.#statusMessage.read(wire, row);
      else if (tag >>> 3 === STATUS.CODE) this.#statusCode.set(row, wire.uint32());
      else wire.skip(tag);
    }
  }
}
