/**
 * Goal: no JSON text does harm. Method: seeded mutations of captured bodies, all their prefixes, and texts made to hurt: deep, wide,
 * long. Invariant: an answer that the inspector takes or refuses by its own rules, or BatchMalformedError with field and position.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchMalformedError, BatchTooLargeError, LIMITS, type Signal } from '../../src/base/index.ts';
import { inspectOtlpProtobuf } from '../../src/otap/otlp-inspector.ts';
import { otlpJsonToProtobuf } from '../../src/otap/otlp-json.ts';
import { readCapture } from '../helpers/captures.ts';
import { mutate, type Random, seededRandom } from '../helpers/random.ts';

const LEVELS = 300_000;
/** Mutations of larger bodies hit the same few fields again. */
const BODY_BYTES_MAX = 20_000;

const bodies = readCapture('otlp-http-json-gzip-1')
  .filter(({ t, body }) => t === 'request' && body.length < BODY_BYTES_MAX)
  .map(({ path, body }) => ({ signal: path!.slice('/v1/'.length) as Signal, body }));

test('damaged bytes are refused by field and position, or are a request', () => {
  const random = seededRandom(1);
  const outcomes = { taken: 0, refused: 0 };
  for (let run = 0; run < 8000; run++) {
    const { signal, body } = random.pick(bodies);
    outcomes[outcome(signal, mutate(body, random))]++;
  }
  assert.ok(outcomes.taken > 500 && outcomes.refused > 500, JSON.stringify(outcomes));
});

test('values and pieces of text in wrong places are refused by field and position, or are a request', () => {
  const random = seededRandom(2);
  const outcomes = { taken: 0, refused: 0 };
  for (let run = 0; run < 8000; run++) {
    const { signal, body } = random.pick(bodies);
    outcomes[outcome(signal, Buffer.from(changeText(body.toString(), random)))]++;
  }
  assert.ok(outcomes.taken > 500 && outcomes.refused > 500, JSON.stringify(outcomes));
});

test('a body that ends early is refused wherever it ends', () => {
  const shortest = bodies.toSorted((a, b) => a.body.length - b.body.length)[0]!;
  for (let end = 1; end < shortest.body.length; end++) {
    assert.equal(outcome(shortest.signal, shortest.body.subarray(0, end)), 'refused', `at ${end}`);
  }
});

test('an unknown value may be nested without end', () => {
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
    ['[{"a":', '}]'],
  ] as const) {
    const deep = `{"unknown":${open.repeat(LEVELS)}0${close.repeat(LEVELS)}}`;
    assert.equal(otlpJsonToProtobuf('logs', Buffer.from(deep)).length, 0);
    assert.equal(outcome('logs', Buffer.from(deep.slice(0, deep.length / 2))), 'refused');
    assert.equal(outcome('logs', Buffer.from(deep.replace('0', open === '[' ? '}' : ']'))), 'refused');
  }
});

test('values nested without end cost their row alone', () => {
  for (const [open, close] of [
    ['{"arrayValue":{"values":[', ']}}'],
    ['{"kvlistValue":{"values":[{"value":', '}]}}'],
  ] as const) {
    for (const levels of [LIMITS.cborDepthMax, LIMITS.cborDepthMax + 1, LEVELS]) {
      const value = `${open.repeat(levels)}{}${close.repeat(levels)}`;
      const text = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":${value}},{"severityNumber":1}]}]}]}`;
      const { rows, rejectedRows } = inspectOtlpProtobuf('logs', otlpJsonToProtobuf('logs', Buffer.from(text)));
      const isTooDeep = levels > LIMITS.cborDepthMax;
      assert.deepEqual(
        { rows, rejectedRows },
        { rows: isTooDeep ? 1 : 2, rejectedRows: isTooDeep ? 1 : 0 },
        `${levels}`,
      );
    }
  }
});

test('names that are known elsewhere are skipped however deep', () => {
  const text = `${'{"resourceLogs":['.repeat(LEVELS)}${']}'.repeat(LEVELS)}`;
  assert.equal(outcome('logs', Buffer.from(text)), 'taken');
  assert.equal(outcome('logs', Buffer.from(text.slice(0, -1))), 'refused');
});

test('a body whose protobuf is longer than the limit is refused as too large', () => {
  const text = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"bucketCounts":[${'0,'.repeat(9_999)}0]}]}}]}]}]}`;
  const length = otlpJsonToProtobuf('metrics', Buffer.from(text)).length;
  assert.ok(length > 80_000);
  assert.equal(otlpJsonToProtobuf('metrics', Buffer.from(text), length).length, length);
  for (const bytesMax of [0, 1, 100, length - 1]) {
    assert.throws(
      () => otlpJsonToProtobuf('metrics', Buffer.from(text), bytesMax),
      (error) => {
        assert.ok(error instanceof BatchTooLargeError);
        assert.match(error.message, new RegExp(`longer than ${bytesMax} bytes in protobuf, at byte \\d+$`));
        return true;
      },
    );
  }
});

test('numbers of any length are read to their end', () => {
  const number = (digits: string) => `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":${digits}}]}]}]}`;
  assert.equal(outcome('logs', Buffer.from(number(`1${'0'.repeat(1_000_000)}`))), 'refused');
  assert.equal(outcome('logs', Buffer.from(number(`0.${'0'.repeat(1_000_000)}1e1000001`))), 'taken');
  assert.equal(outcome('logs', Buffer.from(number(`1e${'9'.repeat(1_000_000)}`))), 'refused');
  assert.equal(outcome('logs', Buffer.from(number(`0e${'9'.repeat(1_000_000)}`))), 'taken');
  assert.equal(outcome('logs', Buffer.from(number(`1e-${'9'.repeat(1_000_000)}`))), 'refused');
});

/** Transcodes and inspects; fails on anything but a result or an error of the right kind with all that it must tell. */
function outcome(signal: Signal, text: Uint8Array): 'taken' | 'refused' {
  try {
    inspectOtlpProtobuf(signal, otlpJsonToProtobuf(signal, text));
    return 'taken';
  } catch (error) {
    if (!(error instanceof BatchMalformedError)) throw error;
    const { field, position } = error.facts;
    assert.ok(typeof field === 'string' && field.length > 0 && typeof position === 'number', error.message);
    assert.ok(error.message.endsWith(`, at byte ${position}`), error.message);
    assert.ok(error.message.startsWith(`Cannot read ${field}: `), error.message);
    return 'refused';
  }
}

const PIECES = [
  'null',
  'true',
  '{}',
  '[]',
  '""',
  '0',
  '-1',
  '1e400',
  '"NaN"',
  '"\\ud800"',
  '"\\u0000"',
  '{"arrayValue":{"values":[null]}}',
  '18446744073709551616',
  ',',
  ':',
  '\ufeff',
];

/** Replaces a value, or moves a piece of the text. */
function changeText(text: string, random: Random): string {
  if (random.below(4) > 0) {
    const values = [...text.matchAll(/(?<=:)("[^"]*"|-?\d[\d.e+-]*|true|false|\{\})/g)];
    const { 0: value, index } = random.pick(values);
    return text.slice(0, index) + random.pick(PIECES) + text.slice(index + value.length);
  }
  const from = random.below(text.length);
  const piece = text.slice(from, from + random.below(200));
  const at = random.below(text.length);
  return text.slice(0, at) + (random.below(2) === 0 ? piece : random.pick(PIECES)) + text.slice(at);
}
