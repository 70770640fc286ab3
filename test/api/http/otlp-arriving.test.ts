/**
 * Method: random parts of random bodies, and a list of bodies as the model. Invariant: the bound holds but for what is whole, the
 * silent longest goes first, and what is over counts nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createArrivingBodies } from '../../../src/api/http/otlp-arriving.ts';

const BYTES_MAX = 100;
const BODIES = 6;

test('bodies that arrive stay within the bound, and the most silent ones make room', () => {
  const step = fc.record({
    body: fc.nat(BODIES - 1),
    act: fc.constantFrom('take' as const, 'take' as const, 'take' as const, 'complete' as const, 'release' as const),
    bytes: fc.integer({ min: 1, max: 60 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const arriving = createArrivingBodies(BYTES_MAX);
      const gone: number[] = [];
      const bodies = Array.from({ length: BODIES }, (_, index) => arriving.open(() => gone.push(index)));
      const bytesOf = Array.from({ length: BODIES }, () => 0);
      /** Those that may give way, the most silent first. */
      let silent: number[] = [];
      const over = new Set<number>();
      for (const { body, act, bytes } of steps) {
        if (over.has(body)) continue;
        if (act === 'take') {
          bytesOf[body]! += bytes;
          silent = [...silent.filter((index) => index !== body), body];
          const expected: number[] = [];
          while (sum(bytesOf) > BYTES_MAX && silent[0] !== body) {
            const first = silent.shift()!;
            expected.push(first);
            over.add(first);
            bytesOf[first] = 0;
          }
          assert.equal(bodies[body]!.take(bytes), sum(bytesOf) <= BYTES_MAX);
          assert.deepEqual(gone.splice(0), expected);
        }
        const isRefused = sum(bytesOf) > BYTES_MAX;
        if (act === 'complete') bodies[body]!.complete();
        if (act === 'release' || isRefused) {
          bodies[body]!.release();
          bodies[body]!.release();
          bytesOf[body] = 0;
        }
        if (act !== 'take' || isRefused) silent = silent.filter((index) => index !== body);
        if (act !== 'take' || isRefused) over.add(body);
        assert.equal(arriving.bytes, sum(bytesOf));
      }
    }),
  );
});

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
