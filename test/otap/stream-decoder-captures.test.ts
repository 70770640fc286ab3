/** What a Collector sent, decoded, against what had gone into it: every cell of every row. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { SIGNALS } from '../../src/base/index.ts';
import { createStreamDecoder, decompressZstd, initZstd } from '../../src/otap/index.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { captureNames, readArrowStreams, readCapture, sharedCapturesMissing } from '../helpers/captures.ts';
import { expectedRows } from '../helpers/expected-rows.ts';
import { canonicalLines, type TelemetryRow } from '../helpers/telemetry-rows.ts';

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
/** Their expectations are summaries, or too many rows for a quick test: arrow-js checks their cells in another file. */
const LARGE = /^(bench|dict)-/;
/** Its messages are what was on the wire. */
const COMPRESSED = 'wire-1';
/** Its first rows come twice. */
const REPEATED = 'retry-1';

before(() => initZstd());

for (const name of captureNames({ shared: false })) {
  if (hasArrow(name)) test(`decoded rows of capture ${name} equal what went in`, () => checkCapture(name));
}

test('decoded rows of the shared captures equal what went in', { skip: sharedCapturesMissing() }, async (t) => {
  const own = new Set(captureNames({ shared: false }));
  for (const name of captureNames({ shared: true })) {
    if (own.has(name) || LARGE.test(name) || !hasArrow(name)) continue;
    await t.test(`decoded rows of capture ${name} equal what went in`, () => checkCapture(name));
  }
});

function hasArrow(name: string): boolean {
  return readArrowStreams(name).some((stream) => stream.messages.length > 0);
}

function checkCapture(name: string): void {
  const actual = new Map<string, TelemetryRow[]>(SIGNALS.map((signal) => [signal, []]));
  for (const stream of readArrowStreams(name)) {
    const decoder = createStreamDecoder(stream.arrowSignal);
    for (const message of stream.messages) {
      const record = name === COMPRESSED ? decompressZstd(message, MESSAGE_BYTES_MAX) : message;
      for (const row of canonicalRows(decoder.decode(record))) actual.get(stream.arrowSignal)!.push(row);
    }
  }
  const expected = new Map<string, TelemetryRow[]>(SIGNALS.map((signal) => [signal, []]));
  for (const record of readCapture(name, 'expect')) {
    if (record.t !== 'otlp') continue;
    for (const row of expectedRows(record.signal!, record.body)) expected.get(record.signal!)!.push(row);
  }
  for (const signal of SIGNALS) compare(name, signal, actual.get(signal)!, expected.get(signal)!);
}

function compare(name: string, signal: string, actualRows: TelemetryRow[], expected: TelemetryRow[]): void {
  const actualLines = canonicalLines(actualRows);
  const actual = name === REPEATED ? [...new Set(actualLines)] : actualLines;
  const lines = name === REPEATED ? [...new Set(canonicalLines(expected))] : canonicalLines(expected);
  const differing = actual.findIndex((line, i) => line !== lines[i]);
  if (differing >= 0) assert.equal(actual[differing], lines[differing], `${name} ${signal} line ${differing}`);
  assert.equal(actual.length, lines.length, `${name} ${signal}`);
}
