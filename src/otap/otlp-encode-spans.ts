import type { SpanEventsTable, SpanLinksTable, SpansTable, TracesBatch } from './canonical.ts';
import { ChildRows, idAt } from './child-rows.ts';
import { ChildEncoder, countOrphans } from './otlp-encode-children.ts';
import {
  putEnum,
  putFixed32,
  putFixed64,
  putIdentifier,
  putSum64,
  putText,
  putUint32,
  tagOf,
  TextSource,
  Words,
} from './otlp-encode-fields.ts';
import { putGroups } from './otlp-encode-groups.ts';
import { AttributesEncoder } from './otlp-encode-values.ts';
import type { BackwardOutput } from './protobuf-backward-output.ts';

const FIELD = {
  TRACE_ID: tagOf(1, 'BYTES'),
  SPAN_ID: tagOf(2, 'BYTES'),
  TRACE_STATE: tagOf(3, 'BYTES'),
  PARENT_SPAN_ID: tagOf(4, 'BYTES'),
  NAME: tagOf(5, 'BYTES'),
  KIND: tagOf(6, 'VARINT'),
  START_TIME_UNIX_NANO: tagOf(7, 'FIXED64'),
  END_TIME_UNIX_NANO: tagOf(8, 'FIXED64'),
  ATTRIBUTES: tagOf(9, 'BYTES'),
  DROPPED_ATTRIBUTES_COUNT: tagOf(10, 'VARINT'),
  EVENTS: tagOf(11, 'BYTES'),
  DROPPED_EVENTS_COUNT: tagOf(12, 'VARINT'),
  LINKS: tagOf(13, 'BYTES'),
  DROPPED_LINKS_COUNT: tagOf(14, 'VARINT'),
  STATUS: tagOf(15, 'BYTES'),
  FLAGS: tagOf(16, 'FIXED32'),
} as const;
const STATUS = { MESSAGE: tagOf(2, 'BYTES'), CODE: tagOf(3, 'VARINT') } as const;
const EVENT = {
  TIME_UNIX_NANO: tagOf(1, 'FIXED64'),
  NAME: tagOf(2, 'BYTES'),
  ATTRIBUTES: tagOf(3, 'BYTES'),
  DROPPED_ATTRIBUTES_COUNT: tagOf(4, 'VARINT'),
} as const;
const LINK = {
  TRACE_ID: tagOf(1, 'BYTES'),
  SPAN_ID: tagOf(2, 'BYTES'),
  TRACE_STATE: tagOf(3, 'BYTES'),
  ATTRIBUTES: tagOf(4, 'BYTES'),
  DROPPED_ATTRIBUTES_COUNT: tagOf(5, 'VARINT'),
  FLAGS: tagOf(6, 'FIXED32'),
} as const;

/** Writes an ExportTraceServiceRequest. Returns the number of rows without a parent. */
export function putOtlpSpans(output: BackwardOutput, batch: TracesBatch): number {
  const { spans, spanEvents, spanLinks } = batch;
  const attributes = AttributesEncoder.of(output, batch.spanAttrs);
  const eventAttributes = AttributesEncoder.of(output, batch.spanEventAttrs);
  const linkAttributes = AttributesEncoder.of(output, batch.spanLinkAttrs);
  const events = spanEvents === null ? null : eventsEncoder(output, spanEvents, eventAttributes);
  const links = spanLinks === null ? null : linksEncoder(output, spanLinks, linkAttributes);
  const putStatus = statusEncoder(output, spans);
  const name = TextSource.of(spans.name);
  const traceState = TextSource.of(spans.traceState);
  const start = Words.of(spans.startTimeUnixNano);
  const startAndDuration = [start, Words.of(spans.durationTimeUnixNano)] as const;
  const orphans = putGroups(output, batch, spans, (row) => {
    const id = idAt(spans.id, row);
    putFixed32(output, FIELD.FLAGS, spans.flags, row);
    putStatus(row);
    putUint32(output, FIELD.DROPPED_LINKS_COUNT, spans.droppedLinksCount, row);
    links?.put(FIELD.LINKS, id);
    putUint32(output, FIELD.DROPPED_EVENTS_COUNT, spans.droppedEventsCount, row);
    events?.put(FIELD.EVENTS, id);
    putUint32(output, FIELD.DROPPED_ATTRIBUTES_COUNT, spans.droppedAttributesCount, row);
    attributes?.put(FIELD.ATTRIBUTES, id);
    putSum64(output, FIELD.END_TIME_UNIX_NANO, startAndDuration, row);
    putFixed64(output, FIELD.START_TIME_UNIX_NANO, start, row);
    putEnum(output, FIELD.KIND, spans.kind, row);
    putText(output, FIELD.NAME, name, row);
    putIdentifier(output, FIELD.PARENT_SPAN_ID, spans.parentSpanId, row);
    putText(output, FIELD.TRACE_STATE, traceState, row);
    putIdentifier(output, FIELD.SPAN_ID, spans.spanId, row);
    putIdentifier(output, FIELD.TRACE_ID, spans.traceId, row);
  });
  return orphans + countOrphans(attributes, events, eventAttributes, links, linkAttributes);
}

/** A status of nothing but defaults is left out. */
function statusEncoder(output: BackwardOutput, spans: SpansTable): (row: number) => void {
  const message = TextSource.of(spans.statusMessage);
  return (row) => {
    const before = output.length;
    putEnum(output, STATUS.CODE, spans.statusCode, row);
    putText(output, STATUS.MESSAGE, message, row);
    if (output.length > before) output.close(before, FIELD.STATUS);
  };
}

function eventsEncoder(
  output: BackwardOutput,
  table: SpanEventsTable,
  attributes: AttributesEncoder | null,
): ChildEncoder {
  const time = Words.of(table.timeUnixNano);
  const name = TextSource.of(table.name);
  return new ChildEncoder(output, ChildRows.of(table), (row) => {
    putUint32(output, EVENT.DROPPED_ATTRIBUTES_COUNT, table.droppedAttributesCount, row);
    attributes?.put(EVENT.ATTRIBUTES, idAt(table.id, row));
    putText(output, EVENT.NAME, name, row);
    putFixed64(output, EVENT.TIME_UNIX_NANO, time, row);
  });
}

function linksEncoder(
  output: BackwardOutput,
  table: SpanLinksTable,
  attributes: AttributesEncoder | null,
): ChildEncoder {
  const traceState = TextSource.of(table.traceState);
  return new ChildEncoder(output, ChildRows.of(table), (row) => {
    putFixed32(output, LINK.FLAGS, table.flags, row);
    putUint32(output, LINK.DROPPED_ATTRIBUTES_COUNT, table.droppedAttributesCount, row);
    attributes?.put(LINK.ATTRIBUTES, idAt(table.id, row));
    putText(output, LINK.TRACE_STATE, traceState, row);
    putIdentifier(output, LINK.SPAN_ID, table.spanId, row);
    putIdentifier(output, LINK.TRACE_ID, table.traceId, row);
  });
}
