/** Metadata of metrics over OTAP: sent to who takes it, left out for who refuses it, and no batch is lost to finding that out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { createMetadataSender } from '../../../src/api/push/metric-metadata.ts';
import type { SendResult } from '../../../src/api/push/sender.ts';
import { type CanonicalBatch, decodeOtlp } from '../../../src/otap/index.ts';
import { ExportMetricsServiceRequestSchema } from '../../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { logsRequest } from './push-fixture.ts';

const TAKEN: SendResult = { outcome: 'ok', bytes: 1, rejectedItems: 0, rejection: '' };
const REFUSED: SendResult = { outcome: 'refused', reason: 'unknown payload type', fault: 'batch' };
const LATER: SendResult = { outcome: 'retry', reason: 'busy', mayHaveArrived: false };

test('metadata of metrics goes to a target that takes it, also after another refusal', async () => {
  const target = startTarget([TAKEN, REFUSED, TAKEN]);
  assert.deepEqual(await target.send(metrics()), TAKEN);
  assert.deepEqual(await target.send(metrics()), REFUSED);
  assert.deepEqual(await target.send(metrics()), TAKEN);
  assert.deepEqual(target.hadMetadata, [true, true, true]);
});

test('metadata of metrics is left out for a target that takes batches without it alone, and that is told once', async () => {
  const target = startTarget([REFUSED, TAKEN, TAKEN]);
  const result = await target.send(metrics());
  assert.deepEqual(result, { ...TAKEN, leftOut: 'metadata of metrics (unknown payload type)' });
  assert.deepEqual(await target.send(metrics()), TAKEN);
  assert.deepEqual(target.hadMetadata, [true, false, false]);
});

test('batches that find out together that metadata is refused all go, and it is told once', async () => {
  const target = startTarget([REFUSED, REFUSED, TAKEN, TAKEN]);
  const results = await Promise.all([target.send(metrics()), target.send(metrics())]);
  assert.equal(results.filter((result) => result.outcome === 'ok').length, 2);
  assert.equal(results.filter((result) => result.outcome === 'ok' && result.leftOut !== undefined).length, 1);
  assert.deepEqual(target.hadMetadata, [true, true, false, false]);
});

test('a batch that is refused with and without metadata says nothing about metadata', async () => {
  const target = startTarget([REFUSED, REFUSED, TAKEN]);
  assert.deepEqual(await target.send(metrics()), REFUSED);
  assert.deepEqual(await target.send(metrics()), TAKEN);
  assert.deepEqual(target.hadMetadata, [true, false, true]);
});

test('a target that puts off a batch, or refuses all, is not tried without metadata', async () => {
  const answers: SendResult[] = [
    LATER,
    { ...REFUSED, fault: 'target' },
    { ...REFUSED, isFinal: true },
    { outcome: 'too-large', reason: 'too large' },
    { outcome: 'unimplemented', reason: 'no' },
  ];
  const target = startTarget(answers);
  for (const answer of answers) assert.deepEqual(await target.send(metrics()), answer);
  assert.deepEqual(
    target.hadMetadata,
    answers.map(() => true),
  );
});

test('batches without metadata are sent as they are, once', async () => {
  const target = startTarget([REFUSED, REFUSED]);
  assert.deepEqual(await target.send(metrics([])), REFUSED);
  const logs = decodeOtlp('logs', logsRequest(['one']), 'application/x-protobuf');
  assert.deepEqual(await target.send(logs), REFUSED);
  assert.deepEqual(target.sent.at(-1), logs);
});

/** Gives these answers, one after the other, each in a later turn. */
function startTarget(answers: readonly SendResult[]) {
  const sent: CanonicalBatch[] = [];
  const send = createMetadataSender(async (batch: CanonicalBatch, _facts: null) => {
    const answer = answers[sent.push(batch) - 1];
    await Promise.resolve();
    assert.ok(answer, 'a batch more than there are answers');
    return answer;
  });
  return {
    sent,
    send: (batch: CanonicalBatch) => send(batch, null),
    get hadMetadata() {
      return sent.map((batch) => batch.signal === 'metrics' && batch.metricAttrs !== null);
    },
  };
}

function metrics(keys: readonly string[] = ['help']): CanonicalBatch {
  const metadata = keys.map((key) => ({ key, value: { value: { case: 'stringValue' as const, value: 'text' } } }));
  const point = { timeUnixNano: 1n, value: { case: 'asInt' as const, value: 7n } };
  const metric = { name: 'm', metadata, data: { case: 'gauge' as const, value: { dataPoints: [point] } } };
  const request = create(ExportMetricsServiceRequestSchema, {
    resourceMetrics: [{ scopeMetrics: [{ metrics: [metric] }] }],
  });
  return decodeOtlp('metrics', toBinary(ExportMetricsServiceRequestSchema, request), 'application/x-protobuf');
}
