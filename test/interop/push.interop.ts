/**
 * Goal: what an exporter pushes is to a stock Collector what its source was, from the beginning of the log and from the middle.
 * Method: captures of a Collector are in a real log; exporters send it to a second real Collector, by OTAP to the stock `otelarrow`
 * receiver and by OTLP to the stock `otlp` receiver; its file exporter keeps the OTLP that it made of it. Then the same while that
 * Collector ends, or is killed, and comes back.
 * Invariant: equal rows; none is lost, and rows repeat only where the exporter says that it sent batches again.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import type { SenderConfig } from '../../src/api/push/open-sender.ts';
import { SIGNAL_CODES, SIGNALS } from '../../src/base/index.ts';
import { decodeOtlp } from '../../src/otap/index.ts';
import { ExportMetricsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { type PushFixture, startPush } from '../api/push/push-fixture.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { assertSameRows, rowDifference } from '../helpers/collector-tables.ts';
import { collectorTools } from '../helpers/collector.ts';
import { appendCapture } from '../helpers/engine-log.ts';
import { logRows, type Rows } from '../helpers/log-rows.ts';
import {
  COLLECTOR_PROTOCOLS,
  type Receiver,
  received,
  startReceiver,
  withoutRepeatedKeys,
} from '../helpers/receiving-collector.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import { canonicalLines } from '../helpers/telemetry-rows.ts';

const CAPTURES = ['rich-1', 'hostmetrics-1', 'telemetrygen-1', 'empties-1'];

const tools = collectorTools();
const skip = typeof tools === 'string' ? tools : false;
if (typeof tools === 'string') process.stderr.write(`SKIPPED: push to a real Collector: ${tools}\n`);

for (const protocol of COLLECTOR_PROTOCOLS) {
  for (const from of ['the beginning', 'the middle'] as const) {
    test(`a stock Collector makes of what comes by ${protocol} from ${from} what it was`, { skip }, async (t) => {
      const push = await startPush(t);
      for (const capture of CAPTURES) await appendCapture(push.log, capture);
      const offset = from === 'the beginning' ? 0n : push.log.status().durableOffset / 2n;
      const directory = scratchDirectory(t);
      const receiver = await startReceiver(t, directory);
      push.start(senderOf(protocol, receiver), offset);
      const progress = await push.untilSent();
      assert.deepEqual([push.setAside, progress.error, progress.fallback], [[], null, undefined]);
      await push.stop();
      await receiver.collector.end('SIGTERM');
      const expected = await rowsFrom(push, offset);
      for (const signal of SIGNALS) {
        assert.ok(expected[signal].length > 0);
        assertSameRows(received(signal, receiver), expected[signal], `${protocol} ${signal}`);
      }
    });
  }

  test(`nothing is lost by ${protocol} while the Collector that it is sent to ends and comes back`, {
    skip,
  }, async (t) => {
    const push = await startPush(t, { limits: { pushBatchesMax: 4 } });
    for (const capture of CAPTURES) await appendCapture(push.log, capture);
    const directory = scratchDirectory(t);
    const first = await startReceiver(t, join(directory, '0'));
    push.start(senderOf(protocol, first));
    const rounds = [first];
    for (let round = 1; round <= 2; round++) {
      await push.until(({ sentBatches }) => sentBatches >= 8 * round);
      // In order: what a killed Collector has answered is not in its file yet.
      await rounds.at(-1)!.collector.end('SIGTERM');
      rounds.push(await startReceiver(t, join(directory, String(round)), { before: first }));
    }
    const progress = await push.untilSent();
    await push.stop();
    await rounds.at(-1)!.collector.end('SIGTERM');
    assert.deepEqual([push.setAside, progress.fallback], [[], undefined]);
    const expected = await rowsFrom(push, 0n);
    for (const signal of SIGNALS) {
      const rows = rounds.flatMap((receiver) => received(signal, receiver));
      const { missing, surplus } = rowDifference(rows, expected[signal]);
      const known = new Set(canonicalLines(expected[signal]));
      assert.deepEqual([missing.slice(0, 2), surplus.filter((line) => !known.has(line)).slice(0, 2)], [[], []]);
      if (progress.resentBatches === 0) assert.deepEqual(surplus.slice(0, 2), []);
    }
    t.diagnostic(`${progress.retries} tries failed, ${progress.resentBatches} batches were sent again`);
  });

  test(`an exporter goes on by ${protocol} when the Collector that it is sent to is killed`, { skip }, async (t) => {
    const push = await startPush(t, { limits: { pushBatchesMax: 4 } });
    for (const capture of CAPTURES) await appendCapture(push.log, capture);
    const directory = scratchDirectory(t);
    const first = await startReceiver(t, join(directory, '0'));
    push.start(senderOf(protocol, first));
    await push.until(({ sentBatches }) => sentBatches >= 4);
    await first.collector.end('SIGKILL');
    const { readOffset } = await push.until(({ state }) => state === 'retrying');
    const second = await startReceiver(t, join(directory, '1'), { before: first });
    const progress = await push.untilSent();
    await push.stop();
    await second.collector.end('SIGTERM');
    assert.deepEqual([push.setAside, progress.error, progress.fallback], [[], null, undefined]);
    // The first one may have taken, and lost, what it was being sent; what was not read by then is with the second one.
    const expected = await rowsFrom(push, readOffset);
    for (const signal of SIGNALS) {
      assert.deepEqual(rowDifference(received(signal, second), expected[signal]).missing.slice(0, 2), []);
    }
  });
}

test('a stock Collector takes metrics that have metadata over OTAP, without it', { skip }, async (t) => {
  const push = await startPush(t);
  const bodies = Array.from({ length: 20 }, (_, index) => metricsRequest(`metric ${index}`));
  const headers = new Map([['content-type', 'application/x-protobuf']]);
  for (const body of bodies) {
    await push.log.appendOtlp(SIGNAL_CODES.metrics, { batchId: 0n, record: [body], headers });
  }
  const receiver = await startReceiver(t, scratchDirectory(t));
  push.start(senderOf('otap', receiver));
  const progress = await push.untilSent();
  await push.stop();
  await receiver.collector.end('SIGTERM');
  assert.deepEqual([push.setAside, progress.error, progress.retries, progress.sentItems], [[], null, 0, bodies.length]);
  const expected = bodies.flatMap((body) => canonicalRows(decodeOtlp('metrics', body, 'application/x-protobuf')));
  assertSameRows(received('metrics', receiver), expected, 'metrics with metadata');
});

function metricsRequest(name: string): Uint8Array {
  const metadata = [{ key: 'help', value: { value: { case: 'stringValue' as const, value: 'text' } } }];
  const point = { timeUnixNano: 1n, value: { case: 'asInt' as const, value: 7n } };
  const metric = { name, metadata, data: { case: 'gauge' as const, value: { dataPoints: [point] } } };
  const request = { resourceMetrics: [{ scopeMetrics: [{ metrics: [metric] }] }] };
  return toBinary(ExportMetricsServiceRequestSchema, create(ExportMetricsServiceRequestSchema, request));
}

function senderOf(protocol: SenderConfig['protocol'], { addresses }: Receiver): SenderConfig {
  return { name: 'test', protocol, endpoint: `http://${addresses[protocol]}` };
}

/** The rows of a log from an offset on, as a stock Collector can have them. */
async function rowsFrom({ directory }: PushFixture, from: bigint): Promise<Rows> {
  const rows = await logRows(directory, from);
  return Object.fromEntries(SIGNALS.map((signal) => [signal, rows[signal].map(withoutRepeatedKeys)])) as Rows;
}
