/** Answers on the wire, read back by generated code where there is some, and by a reader of another's making where there is none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary, fromJsonString } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { AnySchema, DurationSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { encodeExportResponse, encodeStatus, RPC_CODES } from '../../../src/api/otlp/otlp-answers.ts';
import { LIMITS, SIGNALS } from '../../../src/base/index.ts';
import { OTLP_CONTENT_TYPES } from '../../../src/otap/index.ts';
import { ExportLogsServiceResponseSchema } from '../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { ExportMetricsServiceResponseSchema } from '../../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { ExportTraceServiceResponseSchema } from '../../gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js';

const { PROTOBUF, JSON: JSON_TYPE } = OTLP_CONTENT_TYPES;
const RETRY_INFO_TYPE = 'type.googleapis.com/google.rpc.RetryInfo';
const outcomes = fc.record({ rejectedRows: fc.integer({ min: 1, max: 2 ** 53 - 1 }), message: fc.string() });

test('an export response without rejected rows is empty, whatever its message', () => {
  for (const signal of SIGNALS) {
    for (const message of ['', 'nothing was rejected']) {
      assert.equal(encodeExportResponse(signal, { rejectedRows: 0, message }, PROTOBUF).length, 0);
      assert.equal(encodeExportResponse(signal, { rejectedRows: 0, message }, JSON_TYPE).toString(), '{}');
    }
  }
});

test('an export response tells rejected rows and the reason, as protobuf', () => {
  fc.assert(
    fc.property(outcomes, (outcome) => {
      const { message } = outcome;
      const rejected = BigInt(outcome.rejectedRows);
      const logs = fromBinary(ExportLogsServiceResponseSchema, encodeExportResponse('logs', outcome, PROTOBUF));
      assert.equal(logs.partialSuccess?.rejectedLogRecords, rejected);
      assert.equal(logs.partialSuccess?.errorMessage, message);
      const traces = fromBinary(ExportTraceServiceResponseSchema, encodeExportResponse('traces', outcome, PROTOBUF));
      assert.equal(traces.partialSuccess?.rejectedSpans, rejected);
      assert.equal(traces.partialSuccess?.errorMessage, message);
      const metrics = fromBinary(
        ExportMetricsServiceResponseSchema,
        encodeExportResponse('metrics', outcome, PROTOBUF),
      );
      assert.equal(metrics.partialSuccess?.rejectedDataPoints, rejected);
      assert.equal(metrics.partialSuccess?.errorMessage, message);
    }),
  );
});

test('an export response tells rejected rows and the reason, as JSON with 64-bit numbers as strings', () => {
  const outcome = { rejectedRows: 3, message: 'Cannot take a row: it says "no"' };
  const text = (signal: 'logs' | 'traces' | 'metrics') => encodeExportResponse(signal, outcome, JSON_TYPE).toString();
  const errorMessage = outcome.message;
  assert.deepEqual(JSON.parse(text('logs')), { partialSuccess: { rejectedLogRecords: '3', errorMessage } });
  assert.deepEqual(JSON.parse(text('traces')), { partialSuccess: { rejectedSpans: '3', errorMessage } });
  assert.deepEqual(JSON.parse(text('metrics')), { partialSuccess: { rejectedDataPoints: '3', errorMessage } });
  assert.equal(fromJsonString(ExportLogsServiceResponseSchema, text('logs')).partialSuccess?.rejectedLogRecords, 3n);
});

test('a status has its code and message, and no details without a delay', () => {
  const status = { code: RPC_CODES.INVALID_ARGUMENT, message: 'Cannot read a span: größer als 32 Bit' };
  assert.deepEqual(readStatus(encodeStatus(status, PROTOBUF)), { ...status, details: [] });
  assert.deepEqual(JSON.parse(encodeStatus(status, JSON_TYPE).toString()), status);
  assert.equal(encodeStatus({ code: 3, message: 'ab' }, PROTOBUF).toString('hex'), '080312026162');
});

test('a status with a delay carries RetryInfo', () => {
  const delays = fc.oneof(fc.constant(LIMITS.otlpRetryAfterMs), fc.integer({ min: 1, max: 3_600_000 }));
  fc.assert(
    fc.property(delays, fc.string(), (retryAfterMs, message) => {
      const status = { code: RPC_CODES.UNAVAILABLE, message, retryAfterMs };
      const { code, message: readMessage, details } = readStatus(encodeStatus(status, PROTOBUF));
      assert.deepEqual([code, readMessage, details.length], [14, message, 1]);
      const any = fromBinary(AnySchema, details[0]!);
      assert.equal(any.typeUrl, RETRY_INFO_TYPE);
      const [retryDelay] = fieldsOf(any.value);
      assert.equal(retryDelay?.number, 1);
      const duration = fromBinary(DurationSchema, retryDelay.value as Uint8Array);
      assert.equal(Number(duration.seconds) * 1000 + duration.nanos / 1e6, retryAfterMs);
      const json = JSON.parse(encodeStatus(status, JSON_TYPE).toString()) as { details: { retryDelay: string }[] };
      const fromJson = fromJsonString(DurationSchema, JSON.stringify(json.details[0]!.retryDelay));
      assert.equal(Number(fromJson.seconds) * 1000 + fromJson.nanos / 1e6, retryAfterMs);
    }),
  );
});

test('a status in JSON names its detail as Any does', () => {
  const status = { code: RPC_CODES.UNAVAILABLE, message: 'Cannot append: the disk is full', retryAfterMs: 1_000 };
  assert.deepEqual(JSON.parse(encodeStatus(status, JSON_TYPE).toString()), {
    code: 14,
    message: status.message,
    details: [{ '@type': RETRY_INFO_TYPE, retryDelay: '1s' }],
  });
});

test('lone surrogates of a quoted text are replaced in every form', () => {
  const outcome = { rejectedRows: 1, message: 'bad name: \ud800' };
  const replaced = 'bad name: \ufffd';
  const logs = fromBinary(ExportLogsServiceResponseSchema, encodeExportResponse('logs', outcome, PROTOBUF));
  assert.equal(logs.partialSuccess?.errorMessage, replaced);
  assert.ok(encodeExportResponse('logs', outcome, JSON_TYPE).toString().includes(replaced));
  const status = { code: 3, message: outcome.message };
  assert.equal(readStatus(encodeStatus(status, PROTOBUF)).message, replaced);
  assert.ok(encodeStatus(status, JSON_TYPE).toString().includes(replaced));
});

interface Field {
  readonly number: number;
  readonly value: number | Uint8Array;
}

function fieldsOf(bytes: Uint8Array): Field[] {
  const reader = new BinaryReader(bytes);
  const fields: Field[] = [];
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    fields.push({ number, value: Number(wireType) === 0 ? reader.uint32() : reader.bytes() });
  }
  return fields;
}

function readStatus(bytes: Uint8Array): { code: number; message: string; details: Uint8Array[] } {
  const fields = fieldsOf(bytes);
  const of = (number: number) => fields.filter((field) => field.number === number).map(({ value }) => value);
  return {
    code: Number(of(1)[0] ?? 0),
    message: Buffer.from((of(2)[0] ?? new Uint8Array()) as Uint8Array).toString(),
    details: of(3) as Uint8Array[],
  };
}
