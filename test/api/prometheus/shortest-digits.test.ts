import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { putShortest, SHORTEST_BELOW, SHORTEST_FROM, toShorten } from '../../../src/api/prometheus/shortest-digits.ts';
import { putWhole, WHOLE_BELOW } from '../../../src/api/prometheus/whole-digits.ts';

const bytes = Buffer.alloc(64);
const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const bits = new BigInt64Array(toShorten.buffer);

/** Null: it cannot tell. */
function shortest(value: number): string | null {
  toShorten[0] = value;
  const end = putShortest(view, 0);
  return end === -1 ? null : bytes.toString('latin1', 0, end);
}

function isWithin(value: number): boolean {
  return value >= SHORTEST_FROM && value < SHORTEST_BELOW;
}

/** How many of these it could not tell. */
function checkAll(values: Iterable<number>): number {
  let untold = 0;
  for (const value of values) {
    if (!isWithin(value)) continue;
    const text = shortest(value);
    if (text === null) untold++;
    else if (text !== String(value)) assert.equal(text, String(value));
  }
  return untold;
}

/** The number that is so many steps of the last bit away. */
function beside(value: number, steps: number): number {
  toShorten[0] = value;
  bits[0]! += BigInt(steps);
  return toShorten[0]!;
}

const NEIGHBOURS = Array.from({ length: 401 }, (_, at) => at - 200);

test('numbers of all bits get the digits that JavaScript gives them', () => {
  const exponents = fc.integer({ min: 1003, max: 1080 });
  const mantissas = fc.bigInt({ min: 0n, max: 2n ** 52n - 1n });
  fc.assert(
    fc.property(fc.array(fc.tuple(exponents, mantissas), { minLength: 100, maxLength: 100 }), (pairs) => {
      checkAll(
        pairs.map(([exponent, mantissa]) => {
          bits[0] = (BigInt(exponent) << 52n) | mantissa;
          return toShorten[0]!;
        }),
      );
    }),
    { numRuns: 300 },
  );
});

test('numbers around each power of two and of ten get the digits that JavaScript gives them', () => {
  for (let exponent = -20; exponent < 57; exponent++) checkAll(NEIGHBOURS.map((steps) => beside(2 ** exponent, steps)));
  for (let tens = -6; tens <= 17; tens++) checkAll(NEIGHBOURS.map((steps) => beside(Number(`1e${tens}`), steps)));
});

test('numbers of each count of digits and their neighbours get the digits that JavaScript gives them', () => {
  for (let digits = 1; digits <= 17; digits++)
    for (let behindPoint = 0; behindPoint <= 17; behindPoint++) {
      const value = Number(`${'9876543219876543'.slice(0, digits - 1)}7e-${behindPoint}`);
      checkAll(NEIGHBOURS.slice(190, 211).map((steps) => beside(value, steps)));
      checkAll([Number(`1e${digits - behindPoint}`), Number(`${10 ** (digits - 1) + 1}e-${behindPoint}`)]);
    }
});

test('quotients and sums, which have many digits, are told without help', () => {
  const values = Array.from({ length: 20_000 }, (_, at) => ((at + 1) * 1.25 + 0.1) / 297.3);
  assert.equal(checkAll(values), 0);
  assert.equal(shortest(0.1 + 0.2), '0.30000000000000004');
  assert.equal(shortest(1 / 3), '0.3333333333333333');
});

test('powers of two, whose neighbours are not equally far, are left to others', () => {
  for (let exponent = -19; exponent < 56; exponent++) assert.equal(shortest(2 ** exponent), null);
});

test('whole numbers of every length are written in decimal', () => {
  const texts = Array.from({ length: 15 }, (_, at) =>
    ['1', '9', '123456789012345'].map((from) => from.padEnd(15, from).slice(0, at + 1)),
  );
  for (const text of ['0', ...texts.flat(), String(WHOLE_BELOW - 1), '100000000', '99999999', '1000000', '999999'])
    assert.equal(bytes.toString('latin1', 0, putWhole(view, 0, Number(text))), text);
});
