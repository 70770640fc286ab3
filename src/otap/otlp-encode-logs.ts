import type { LogsBatch } from './canonical.ts';
import { idAt } from './child-rows.ts';
import { countOrphans } from './otlp-encode-children.ts';
import {
  putEnum,
  putFixed32,
  putFixed64,
  putIdentifier,
  putText,
  putUint32,
  tagOf,
  TextSource,
  Words,
} from './otlp-encode-fields.ts';
import { putGroups } from './otlp-encode-groups.ts';
import { AttributesEncoder, ValueEncoder } from './otlp-encode-values.ts';
import type { BackwardOutput } from './protobuf-backward-output.ts';

const FIELD = {
  TIME_UNIX_NANO: tagOf(1, 'FIXED64'),
  SEVERITY_NUMBER: tagOf(2, 'VARINT'),
  SEVERITY_TEXT: tagOf(3, 'BYTES'),
  BODY: tagOf(5, 'BYTES'),
  ATTRIBUTES: tagOf(6, 'BYTES'),
  DROPPED_ATTRIBUTES_COUNT: tagOf(7, 'VARINT'),
  FLAGS: tagOf(8, 'FIXED32'),
  TRACE_ID: tagOf(9, 'BYTES'),
  SPAN_ID: tagOf(10, 'BYTES'),
  OBSERVED_TIME_UNIX_NANO: tagOf(11, 'FIXED64'),
  EVENT_NAME: tagOf(12, 'BYTES'),
} as const;

/** Writes an ExportLogsServiceRequest. Returns the number of rows without a parent. */
export function putOtlpLogs(output: BackwardOutput, batch: LogsBatch): number {
  const { logs } = batch;
  const attributes = AttributesEncoder.of(output, batch.logAttrs);
  const body = logs.body === null ? null : new ValueEncoder(output, logs.body);
  const time = Words.of(logs.timeUnixNano);
  const observedTime = Words.of(logs.observedTimeUnixNano);
  const severityText = TextSource.of(logs.severityText);
  const eventName = TextSource.of(logs.eventName);
  const orphans = putGroups(output, batch, logs, (row) => {
    putText(output, FIELD.EVENT_NAME, eventName, row);
    putFixed64(output, FIELD.OBSERVED_TIME_UNIX_NANO, observedTime, row);
    putIdentifier(output, FIELD.SPAN_ID, logs.spanId, row);
    putIdentifier(output, FIELD.TRACE_ID, logs.traceId, row);
    putFixed32(output, FIELD.FLAGS, logs.flags, row);
    putUint32(output, FIELD.DROPPED_ATTRIBUTES_COUNT, logs.droppedAttributesCount, row);
    attributes?.put(FIELD.ATTRIBUTES, idAt(logs.id, row));
    if (body !== null && !body.isEmpty(row)) {
      const before = output.length;
      body.put(row);
      output.close(before, FIELD.BODY);
    }
    putText(output, FIELD.SEVERITY_TEXT, severityText, row);
    putEnum(output, FIELD.SEVERITY_NUMBER, logs.severityNumber, row);
    putFixed64(output, FIELD.TIME_UNIX_NANO, time, row);
  });
  return orphans + countOrphans(attributes);
}
