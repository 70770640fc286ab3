/** Goal: places of requests are never more than there are, never lost, and never kept by answers that could wait without them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createPlaces, type Place } from '../../../src/api/prometheus/places.ts';

const onLoad = (): void => {};

test('a place that is given back goes to who came first', () => {
  const places = createPlaces({ concurrencyMax: 1, queueMax: 2, heldBytesMax: 0, onLoad });
  const begun: number[] = [];
  const [first, second, third, fourth] = [1, 2, 3, 4].map((id) => places.take(() => begun.push(id)));
  assert.equal(fourth, undefined);
  assert.equal(places.waiting, 2);
  first!.end();
  second!.end();
  second!.end();
  assert.deepEqual(begun, [1, 2, 3]);
  assert.ok(third!.isKept);
});

test('it is told how many are taken and wait', () => {
  const loads: number[][] = [];
  const places = createPlaces({
    concurrencyMax: 1,
    queueMax: 9,
    heldBytesMax: 9,
    onLoad: (...load) => loads.push(load),
  });
  const [first, second] = [places.take(() => {})!, places.take(() => {})!];
  first.leave(1);
  second.end();
  first.end();
  assert.deepEqual(loads, [
    [1, 0],
    [1, 1],
    [1, 0],
    [0, 0],
    [0, 0],
  ]);
});

test('one that gave up waiting makes room for another', () => {
  const places = createPlaces({ concurrencyMax: 1, queueMax: 1, heldBytesMax: 0, onLoad });
  places.take(() => {});
  places.take(assert.fail)!.end();
  assert.notEqual(
    places.take(() => {}),
    undefined,
  );
});

test('results leave their places while they fit, and larger ones as soon as they do', () => {
  const places = createPlaces({ concurrencyMax: 2, queueMax: 9, heldBytesMax: 10, onLoad });
  const [small, large] = [places.take(() => {})!, places.take(() => {})!];
  small.leave(6);
  large.leave(7);
  assert.deepEqual([small.isKept, large.isKept], [false, true]);
  small.end();
  assert.equal(large.isKept, false);
});

test('whatever requests do, no more have places than there are, and none waits beside a free one', () => {
  const step = fc.record({ action: fc.constantFrom('take', 'leave', 'end'), of: fc.nat(30), bytes: fc.nat(8) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const places = createPlaces({ concurrencyMax: 3, queueMax: 4, heldBytesMax: 10, onLoad });
      const requests: { place?: Place | undefined; isBegun: boolean; isOver: boolean }[] = [];
      for (const { action, of, bytes } of steps) {
        const existing = requests[of % Math.max(1, requests.length)];
        if (action === 'take') {
          const request: (typeof requests)[number] = { isBegun: false, isOver: false };
          request.place = places.take(() => {
            request.isBegun = true;
          });
          if (request.place !== undefined) requests.push(request);
        } else if (action === 'leave' && existing?.isBegun === true) {
          existing.place?.leave(bytes);
        } else if (action === 'end' && existing !== undefined) {
          existing.isOver = true;
          existing.place?.end();
        }
        const working = requests.filter(({ place, isBegun, isOver }) => isBegun && !isOver && place?.isKept === true);
        assert.ok(working.length <= 3);
        assert.ok(working.length === 3 || places.waiting === 0);
        assert.ok(places.waiting <= 4);
      }
      for (const { place } of requests) place?.end();
      assert.equal(places.waiting, 0);
      const begun: number[] = [];
      for (let at = 0; at < 3; at++) places.take(() => begun.push(at));
      assert.deepEqual(begun, [0, 1, 2]);
    }),
  );
});
