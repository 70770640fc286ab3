/**
 * Goal: what an exporter pushes is to a stock Collector what its source was, from the beginning of the log and from the middle.
 * Method: captures of a Collector are in a real log; exporters send it to a second real Collector, by OTAP to the stock `otelarrow`
 * receiver and by OTLP to the stock `otlp` receiver; its file exporter keeps the OTLP that it made of it. Then the same while that
 * Collector ends, or is killed, and comes back.
 * Invariant: equal rows; none is lost, and rows repeat only where the exporter says that it sent batches again.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import type { SenderConfig } from '../../src/api/push/open-sender.ts';
import { SIGNAL_CODES, type Signal, SIGNALS } from '../../src/base/index.ts';
import { readEntries } from '../../src/log/index.ts';
import { createEntryDecoder } from '../../src/materialize/index.ts';
import { decodeOtlp } from '../../src/otap/index.ts';
import { ExportMetricsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { type PushFixture, startPush } from '../api/push/push-fixture.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { assertSameRows, rowDifference } from '../helpers/collector-tables.ts';
import { type Collector, collectorTools, freePort, startCollector } from '../helpers/collector.ts';
import { appendCapture } from '../helpers/engine-log.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import { canonicalLines, type TelemetryRow } from '../helpers/telemetry-rows.ts';

const CAPTURES = ['rich-1', 'hostmetrics-1', 'telemetrygen-1', 'empties-1'];
const PROTOCOLS = ['otap', 'otlp-grpc', 'otlp-http'] as const;

const tools = collectorTools();
const skip = typeof tools === 'string' ? tools : false;
if (typeof tools === 'string') process.stderr.write(`SKIPPED: push to a real Collector: ${tools}\n`);

type Rows = Readonly<Record<Signal, TelemetryRow[]>>;

for (const protocol of PROTOCOLS) {
  for (const from of ['the beginning', 'the middle'] as const) {
    test(`a stock Collector makes of what comes by ${protocol} from ${from} what it was`, { skip }, async (t) => {
      const push = await startPush(t);
      for (const capture of CAPTURES) await appendCapture(push.log, capture);
      const offset = from === 'the beginning' ? 0n : push.log.status().durableOffset / 2n;
      const directory = scratchDirectory(t);
      const { collector, config } = await startReceiver(t, protocol, directory);
      push.start(config, offset);
      const progress = await push.untilSent();
      assert.deepEqual([push.setAside, progress.error, progress.fallback], [[], null, undefined]);
      await push.stop();
      await collector.end('SIGTERM');
      const expected = await rowsFrom(push, offset);
      for (const signal of SIGNALS) {
        assert.ok(expected[signal].length > 0);
        assertSameRows(received(signal, collector), expected[signal], `${protocol} ${signal}`);
      }
    });
  }

  test(`nothing is lost by ${protocol} while the Collector that it is sent to ends and comes back`, {
    skip,
  }, async (t) => {
    const push = await startPush(t, { limits: { pushBatchesMax: 4 } });
    for (const capture of CAPTURES) await appendCapture(push.log, capture);
    const directory = scratchDirectory(t);
    const first = await startReceiver(t, protocol, join(directory, '0'));
    push.start(first.config);
    const rounds = [first.collector];
    for (let round = 1; round <= 2; round++) {
      await push.until(({ sentBatches }) => sentBatches >= 8 * round);
      // In order: what a killed Collector has answered is not in its file yet.
      await rounds.at(-1)!.end('SIGTERM');
      rounds.push((await startReceiver(t, protocol, join(directory, String(round)), first)).collector);
    }
    const progress = await push.untilSent();
    await push.stop();
    await rounds.at(-1)!.end('SIGTERM');
    assert.deepEqual([push.setAside, progress.fallback], [[], undefined]);
    const expected = await rowsFrom(push, 0n);
    for (const signal of SIGNALS) {
      const rows = rounds.flatMap((collector) => received(signal, collector));
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
    const first = await startReceiver(t, protocol, join(directory, '0'));
    push.start(first.config);
    await push.until(({ sentBatches }) => sentBatches >= 4);
    await first.collector.end('SIGKILL');
    const { readOffset } = await push.until(({ state }) => state === 'retrying');
    const { collector } = await startReceiver(t, protocol, join(directory, '1'), first);
    const progress = await push.untilSent();
    await push.stop();
    await collector.end('SIGTERM');
    assert.deepEqual([push.setAside, progress.error, progress.fallback], [[], null, undefined]);
    // The first one may have taken, and lost, what it was being sent; what was not read by then is with the second one.
    const expected = await rowsFrom(push, readOffset);
    for (const signal of SIGNALS) {
      assert.deepEqual(rowDifference(received(signal, collector), expected[signal]).missing.slice(0, 2), []);
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
  const { collector, config } = await startReceiver(t, 'otap', scratchDirectory(t));
  push.start(config);
  const progress = await push.untilSent();
  await push.stop();
  await collector.end('SIGTERM');
  assert.deepEqual([push.setAside, progress.error, progress.retries, progress.sentItems], [[], null, 0, bodies.length]);
  const expected = bodies.flatMap((body) => canonicalRows(decodeOtlp('metrics', body, 'application/x-protobuf')));
  assertSameRows(received('metrics', collector), expected, 'metrics with metadata');
});

function metricsRequest(name: string): Uint8Array {
  const metadata = [{ key: 'help', value: { value: { case: 'stringValue' as const, value: 'text' } } }];
  const point = { timeUnixNano: 1n, value: { case: 'asInt' as const, value: 7n } };
  const metric = { name, metadata, data: { case: 'gauge' as const, value: { dataPoints: [point] } } };
  const request = { resourceMetrics: [{ scopeMetrics: [{ metrics: [metric] }] }] };
  return toBinary(ExportMetricsServiceRequestSchema, create(ExportMetricsServiceRequestSchema, request));
}

interface Receiver {
  readonly collector: Collector;
  readonly config: SenderConfig;
  readonly addresses: { readonly arrow: string; readonly otlp: string; readonly http: string };
}

/** A Collector that keeps what it receives; at the addresses of one before it, if there was one. */
async function startReceiver(
  t: TestContext,
  protocol: SenderConfig['protocol'],
  directory: string,
  before?: Receiver,
): Promise<Receiver> {
  if (typeof tools === 'string') throw new Error(tools);
  const http = before?.addresses.http ?? `127.0.0.1:${await freePort()}`;
  const settings = [`receivers::otlp::protocols::http::endpoint=${http}`];
  if (before !== undefined) {
    settings.push(`receivers::otlp::protocols::grpc::endpoint=${before.addresses.otlp}`);
    settings.push(`receivers::otelarrow::protocols::grpc::endpoint=${before.addresses.arrow}`);
  }
  const collector = await startCollector(tools, '', directory, settings, 'receive-file');
  t.after(() => collector.end('SIGKILL'));
  const addresses = before?.addresses ?? { arrow: collector.arrow, otlp: collector.otlp, http };
  const host = { otap: addresses.arrow, 'otlp-grpc': addresses.otlp, 'otlp-http': addresses.http }[protocol];
  return { collector, config: { name: 'test', protocol, endpoint: `http://${host}` }, addresses };
}

/** The rows of a log from an offset on, decoded without exporters. */
async function rowsFrom(push: PushFixture, from: bigint): Promise<Rows> {
  const rows: Rows = { logs: [], traces: [], metrics: [] };
  const decoder = await createEntryDecoder({ readSegment: () => [] });
  for (const entry of readEntries(push.directory, { from: 0n })) {
    const batch = decoder.decode(entry);
    if (batch === null || entry.offset < from) continue;
    assert.notEqual(typeof batch, 'string', `entry ${entry.offset}`);
    if (typeof batch !== 'string') rows[batch.signal].push(...canonicalRows(batch).map(withoutRepeatedKeys));
  }
  return rows;
}

function received(signal: Signal, collector: Collector): TelemetryRow[] {
  return collector.received(signal).map(withoutRepeatedKeys);
}

/** The Arrow receiver keeps one value of a key that a record has twice; the generator names such keys so. */
function withoutRepeatedKeys(row: TelemetryRow): TelemetryRow {
  const attributes = row['attributes'] as [string, unknown][] | undefined;
  if (attributes === undefined) return row;
  return { ...row, attributes: attributes.filter(([key]) => !key.includes('~dup=')) };
}
