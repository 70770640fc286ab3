import type { LogsBatch } from './canonical.ts';
import { AttributesFiller } from './otlp-attributes.ts';
import { IdentifierFiller, U32Filler, WordsFiller } from './otlp-columns.ts';
import type { OtlpFill } from './otlp-fill.ts';
import { OTLP_ROWS } from './otlp-messages.ts';
import { RootFiller, type RootRows } from './otlp-root-columns.ts';
import { StringFiller } from './otlp-strings.ts';
import { ValueFiller } from './otlp-values.ts';

/** The rows of an ExportLogsServiceRequest. */
export function readOtlpLogs(fill: OtlpFill): LogsBatch {
  const logs = new LogsFiller(fill);
  const root = new RootFiller(fill, OTLP_ROWS.logs, logs);
  root.readRequest();
  const logAttrs = logs.attributes.finish();
  const table = { ...root.finishColumns(logAttrs !== null), ...logs.finish() };
  return { signal: 'logs', logs: table, logAttrs, ...root.finishFacts() };
}

const FIELD = {
  TIME_UNIX_NANO: 1,
  SEVERITY_NUMBER: 2,
  SEVERITY_TEXT: 3,
  BODY: 5,
  ATTRIBUTES: 6,
  DROPPED_ATTRIBUTES_COUNT: 7,
  FLAGS: 8,
  TRACE_ID: 9,
  SPAN_ID: 10,
  OBSERVED_TIME_UNIX_NANO: 11,
  EVENT_NAME: 12,
} as const;

class LogsFiller implements RootRows {
  readonly attributes: AttributesFiller;
  readonly #fill: OtlpFill;
  readonly #time: WordsFiller;
  readonly #observedTime: WordsFiller;
  readonly #traceId: IdentifierFiller;
  readonly #spanId: IdentifierFiller;
  readonly #severityNumber: U32Filler;
  readonly #severityText: StringFiller;
  readonly #body: ValueFiller;
  readonly #dropped: U32Filler;
  readonly #flags: U32Filler;
  readonly #eventName: StringFiller;
  #rowCount = 0;

  constructor(fill: OtlpFill) {
    const capacity = fill.countOf(OTLP_ROWS.logs);
    const { bytes } = fill.wire;
    this.#fill = fill;
    this.attributes = new AttributesFiller(fill, OTLP_ROWS.logAttrs);
    this.#time = new WordsFiller(capacity);
    this.#observedTime = new WordsFiller(capacity);
    this.#traceId = new IdentifierFiller(capacity, 16);
    this.#spanId = new IdentifierFiller(capacity, 8);
    this.#severityNumber = new U32Filler(capacity);
    this.#severityText = new StringFiller(bytes, capacity);
    this.#body = new ValueFiller(fill, capacity);
    this.#dropped = new U32Filler(capacity);
    this.#flags = new U32Filler(capacity);
    this.#eventName = new StringFiller(bytes, capacity);
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  read(end: number): void {
    const { wire } = this.#fill;
    const start = wire.at;
    const row = this.#rowCount++;
    let bodies = 0;
    let bodyStart = 0;
    let bodyEnd = 0;
    while (wire.at < end) {
      const tag = wire.tag();
      switch (tag >>> 3) {
        case FIELD.TIME_UNIX_NANO:
          this.#time.read(wire, row);
          break;
        case FIELD.SEVERITY_NUMBER:
          this.#severityNumber.set(row, wire.uint32());
          break;
        case FIELD.SEVERITY_TEXT:
          this.#severityText.read(wire, row);
          break;
        case FIELD.BODY:
          bodyEnd = wire.valueEnd();
          bodyStart = wire.at;
          wire.at = bodyEnd;
          bodies++;
          break;
        case FIELD.ATTRIBUTES:
          this.attributes.read(row);
          break;
        case FIELD.DROPPED_ATTRIBUTES_COUNT:
          this.#dropped.set(row, wire.uint32());
          break;
        case FIELD.FLAGS:
          this.#flags.set(row, wire.fixed32());
          break;
        case FIELD.TRACE_ID:
          this.#traceId.read(wire, row);
          break;
        case FIELD.SPAN_ID:
          this.#spanId.read(wire, row);
          break;
        case FIELD.OBSERVED_TIME_UNIX_NANO:
          this.#observedTime.read(wire, row);
          break;
        case FIELD.EVENT_NAME:
          this.#eventName.read(wire, row);
          break;
        default:
          wire.skip(tag);
      }
    }
    if (bodies === 1) this.#body.read(row, bodyStart, bodyEnd);
    else if (bodies > 1) this.#body.readOccurrences(row, FIELD.BODY, start, end);
  }

  finish() {
    const rows = this.#rowCount;
    const { repairs } = this.#fill;
    return {
      timeUnixNano: this.#time.finishSigned(rows),
      observedTimeUnixNano: this.#observedTime.finishSigned(rows),
      traceId: this.#traceId.finish(rows),
      spanId: this.#spanId.finish(rows),
      severityNumber: this.#severityNumber.finishSigned(rows),
      severityText: this.#severityText.finishText(rows, repairs),
      body: this.#body.hasValues(rows) ? this.#body.finish(rows) : null,
      droppedAttributesCount: this.#dropped.finish(rows),
      flags: this.#flags.finish(rows),
      eventName: this.#eventName.finishText(rows, repairs),
    };
  }
}
