/**
 * Goal: what the encoder makes of a batch is what a stock Collector takes from its own exporter.
 * Method: batches of captures are decoded, encoded anew on one stream a signal and sent to the real `otelarrow` receiver; its file
 * exporter keeps the OTLP that it made of them.
 * Invariant: every batch is answered OK, the stream ends with OK, and the OTLP equals the rows of the batches.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { SIGNALS } from '../../src/base/index.ts';
import { createStreamDecoder, createStreamEncoder, initZstd } from '../../src/otap/index.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { readArrowStreams, sharedCapturesMissing } from '../helpers/captures.ts';
import { assertSameRows } from '../helpers/collector-tables.ts';
import { collectorTools, startCollector } from '../helpers/collector.ts';
import { connectOtap } from '../helpers/otap-client.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import type { Pair, TelemetryRow } from '../helpers/telemetry-rows.ts';

/** All fields of all signals, what exporters seldom send, columns that come with time, batches without rows. */
const CAPTURES = ['rich-1', 'odd-1', 'evolve-1', 'empties-1', 'dict-logs-1', 'hostmetrics-1'];

/** Batches of a stream: dictionaries overflow in fewer, and rows take long to compare. */
const BATCHES_MAX = 20;

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
    const client = await connectOtap(collector.arrow);
    t.after(() => client.destroy());
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
    // A Collector that stops waits for its clients to leave.
    await client.close();
    await collector.end('SIGTERM');
    for (const signal of SIGNALS) {
      const received = collector.received(signal).map(withoutRepeatedKeys);
      assertSameRows(received, expected.get(signal)!.map(withoutRepeatedKeys), `${name} ${signal}`);
    }
  });
}

/** The receiver keeps one value of a key that a record has twice; the generator names such keys so. */
function withoutRepeatedKeys(row: TelemetryRow): TelemetryRow {
  return JSON.parse(JSON.stringify(row), (name, value: unknown) =>
    name === 'attributes' ? (value as Pair[]).filter(([key]) => !key.includes('~dup=')) : value,
  ) as TelemetryRow;
}
