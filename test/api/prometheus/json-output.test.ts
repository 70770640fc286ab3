import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JsonOutput } from '../../../src/api/prometheus/json-output.ts';

/** What is written, and in how many chunks. */
async function written(write: (output: JsonOutput) => Promise<void> | void): Promise<{ text: string; chunks: number }> {
  const chunks: Uint8Array[] = [];
  const output = new JsonOutput(async (chunk) => void chunks.push(chunk));
  await write(output);
  await output.flush();
  return { text: Buffer.concat(chunks).toString(), chunks: chunks.length };
}

/** JavaScript's own text of a number, with exponents as Go has them. */
function expectedFloat(value: number): string {
  if (Number.isNaN(value)) return '"NaN"';
  if (!Number.isFinite(value)) return value > 0 ? '"+Inf"' : '"-Inf"';
  const text = Object.is(value, -0) ? '-0' : String(value);
  return `"${text.replace(/e([+-])(\d)$/, 'e$10$2')}"`;
}

const someDigits = fc
  .tuple(fc.maxSafeInteger(), fc.integer({ min: 0, max: 12 }))
  .map(([digits, behindPoint]) => digits / 10 ** behindPoint);
const fewDigits = fc
  .tuple(fc.integer(), fc.integer({ min: 0, max: 9 }))
  .map(([digits, behindPoint]) => digits / 10 ** behindPoint);
const anyFloat = fc.oneof(fc.double(), someDigits, fewDigits, fc.maxSafeInteger());

test('numbers are written with the digits that JavaScript gives them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyFloat, { minLength: 1 }), async (values) => {
      for (const value of values) {
        assert.equal((await written((output) => output.float(value))).text, expectedFloat(value));
      }
    }),
  );
});

test('numbers at the edges of what is written digit by digit are right', async () => {
  const edges = [
    0,
    -0,
    1,
    -1,
    0.1,
    -0.000001,
    1e-6,
    1e-7,
    9.999999e-7,
    1e9,
    999_999_999.999999,
    1e15,
    1e15 - 1,
    1e21,
    1e20,
  ];
  const others = [
    0.1 + 0.2,
    1 / 3,
    5e-324,
    Number.MAX_VALUE,
    2 ** 53,
    1e9 + 0.5,
    123456789.123456,
    Infinity,
    -Infinity,
    NaN,
  ];
  for (const value of [...edges, ...others])
    assert.equal((await written((output) => output.float(value))).text, expectedFloat(value));
});

test('times are seconds with three digits behind the point or none', async () => {
  const texts: readonly (readonly [number, string])[] = [
    [0, '0'],
    [1, '0.001'],
    [-1, '-0.001'],
    [1_795_415_938_000, '1795415938'],
    [1_795_415_938_050, '1795415938.050'],
    [-1_500, '-1.500'],
    [9_007_199_254_740_991, '9007199254740.991'],
    [1e18, '1000000000000000'],
  ];
  for (const [timeMs, text] of texts) assert.equal((await written((output) => output.time(timeMs))).text, text);
});

test('texts are JSON, whatever is in them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme' }), async (text) => {
      assert.equal(JSON.parse((await written((output) => output.text(text))).text), text);
    }),
  );
  assert.equal((await written((output) => output.text('a "b"\\\n'))).text, '"a \\"b\\"\\\\\\n"');
});

test('points are the same one by one and in chunks', async () => {
  const size = 20_000;
  const timesMs = Float64Array.from({ length: size }, (_, at) => at * 500);
  const values = Float64Array.from({ length: size }, (_, at) => at / 7);
  const { text, chunks } = await written(async (output) => {
    output.ascii('[');
    for (let at = 0; at < size; ) {
      at = output.points(timesMs, values, at);
      if (output.isFull) await output.flush();
    }
    output.ascii(']');
  });
  assert.ok(chunks > 1);
  assert.deepEqual(
    JSON.parse(text),
    Array.from({ length: size }, (_, at) => [at / 2, String(at / 7)]),
  );
});

test('lists of texts are the same one by one and in chunks', async () => {
  const texts = Array.from({ length: 40_000 }, (_, at) => (at % 7 === 0 ? `"\u00e4" ${at}` : `pod-${at}`));
  const { text, chunks } = await written(async (output) => {
    output.ascii('[');
    for (let at = 0; at < texts.length; ) {
      at = output.texts(texts, at);
      if (output.isFull) await output.flush();
    }
    output.ascii(']');
  });
  assert.ok(chunks > 1);
  assert.deepEqual(JSON.parse(text), texts);
});
