/**
 * Goal: what the encoder makes of a batch is what a stock Collector takes from its own exporter.
 * Method: batches of captures, and random ones, are decoded, encoded on one stream a signal and sent to the real `otelarrow` receiver;
 * its file exporter keeps the OTLP that it made of them.
 * Invariant: every batch is answered OK, the stream ends with OK, and the OTLP equals the rows of the batches.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import { createStreamDecoder, decodeOtlp, initZstd } from '../../src/otap/index.ts';
import { createStreamEncoder } from '../../src/otap/stream-encoder.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { readArrowStreams, sharedCapturesMissing } from '../helpers/captures.ts';
import { assertSameRows, rowDifference } from '../helpers/collector-tables.ts';
import { type Collector, collectorTools, startCollector } from '../helpers/collector.ts';
import { connectOtap } from '../helpers/otap-client.ts';
import { randomRequest } from '../helpers/otlp-wire-messages.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import type { Pair, TelemetryRow } from '../helpers/telemetry-rows.ts';

/** All fields of all signals, what exporters seldom send, columns that come with time, batches without rows. */
const CAPTURES = ['rich-1', 'odd-1', 'evolve-1', 'empties-1', 'dict-logs-1', 'hostmetrics-1'];

/** Batches of a stream: dictionaries overflow in fewer, and rows take long to compare. */
const BATCHES_MAX = 20;
const RANDOM_BATCHES = 200;

const tools = collectorTools();
const skip = typeof tools === 'string' ? tools : sharedCapturesMissing();
if (skip !== false) process.stderr.write(`SKIPPED: export to a real Collector: ${skip}\n`);

before(() => initZstd());

for (const name of CAPTURES) {
  test(`the stock receiver makes of capture ${name}, encoded anew, what it was`, { skip }, async (t) => {
    if (typeof tools === 'string') throw new Error(tools);
    const collector = await startCollector(tools, '', scratchDirectory(t), [], 'receive-file');
    t.after(() => collector.end('SIGKILL'));
    const expected = new Map<string, TelemetryRow[]>(SIGNALS.map((signal) => [signal, []]));
    const streams = readArrowStreams(name).map(({ arrowSignal, messages }) => {
      const decoder = createStreamDecoder(arrowSignal);
      const encoder = createStreamEncoder(arrowSignal);
      const encoded = messages.slice(0, BATCHES_MAX).map((message, index) => {
        const batch = decoder.decode(message);
        expected.get(arrowSignal)!.push(...canonicalRows(batch));
        return encoder.encode(batch, BigInt(index));
      });
      return { arrowSignal, messages: encoded };
    });
    await sendStreams(collector, streams);
    for (const signal of SIGNALS) {
      const received = collector.received(signal).map(withoutRepeatedKeys);
      assertSameRows(received, expected.get(signal)!.map(withoutRepeatedKeys), `${name} ${signal}`);
    }
  });
}

for (const signal of SIGNALS) {
  test(`the stock receiver takes every random batch of ${signal} and reads each of its rows`, { skip }, async (t) => {
    if (typeof tools === 'string') throw new Error(tools);
    const collector = await startCollector(tools, '', scratchDirectory(t), [], 'receive-file');
    t.after(() => collector.end('SIGKILL'));
    const encoder = createStreamEncoder(signal);
    const rows: TelemetryRow[] = [];
    const messages = Array.from({ length: RANDOM_BATCHES }, (_, seed) => {
      const batch = decodeOtlp(signal, randomRequest(signal, seed), 'application/x-protobuf');
      rows.push(...canonicalRows(batch));
      return encoder.encode(batch, BigInt(seed));
    });
    await sendStreams(collector, [{ arrowSignal: signal, messages }]);
    // The receiver keeps one value of a repeated key, and 0 for -0 in fields that are absent when they are 0.
    const expected = rows.filter((row) => !hasRepeatedKey(row)).map(withPlainZeros);
    assert.ok(expected.length > RANDOM_BATCHES);
    const received = collector.received(signal, { exact: true }).map(withoutMetadata).map(withPlainZeros);
    assert.deepEqual(rowDifference(received, expected).missing.slice(0, 2), []);
    assert.equal(received.length, rows.length);
  });
}

/** Sends streams one after the other, each batch to be answered OK; then the Collector ends, and what it keeps is whole. */
async function sendStreams(
  collector: Collector,
  streams: readonly { arrowSignal: Signal; messages: readonly Uint8Array[] }[],
): Promise<void> {
  const client = await connectOtap(collector.arrow);
  try {
    for (const { arrowSignal, messages } of streams) {
      const stream = client.openStream(arrowSignal);
      for (const message of messages) await stream.send(message);
      // The receiver may never end a stream that is half-closed while batches are unanswered.
      await stream.reach(messages.length);
      stream.halfClose();
      const end = await stream.ended;
      const refused = stream.statuses.find(({ code }) => code !== 0);
      assert.equal(refused, undefined, `${arrowSignal}: ${refused?.message}`);
      assert.deepEqual([end.code, stream.statuses.length], [0, messages.length], `${arrowSignal}: ${end.message}`);
    }
  } finally {
    client.destroy();
  }
  await collector.end('SIGTERM');
}

/** Whether any list of pairs in a value names a key twice. */
function hasRepeatedKey(value: unknown): boolean {
  if (Array.isArray(value)) {
    const keys = value.filter(isPair).map(([key]) => key);
    return (keys.length === value.length && new Set(keys).size < keys.length) || value.some(hasRepeatedKey);
  }
  return typeof value === 'object' && value !== null && Object.values(value).some(hasRepeatedKey);
}

function isPair(value: unknown): value is Pair {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string';
}

function withPlainZeros(row: TelemetryRow): TelemetryRow {
  return JSON.parse(JSON.stringify(row).replaceAll('8000000000000000', '0000000000000000')) as TelemetryRow;
}

/** What is not sent to this receiver. */
function withoutMetadata(row: TelemetryRow): TelemetryRow {
  const { metric } = row as { readonly metric?: object };
  return metric === undefined ? row : { ...row, metric: { ...metric, metadata: undefined } };
}

/** The receiver keeps one value of a key that a record has twice; the generator names such keys so. */
function withoutRepeatedKeys(row: TelemetryRow): TelemetryRow {
  return JSON.parse(JSON.stringify(row), (name, value: unknown) =>
    name === 'attributes' ? (value as Pair[]).filter(([key]) => !key.includes('~dup=')) : value,
  ) as TelemetryRow;
}
