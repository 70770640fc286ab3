import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createAdmission } from '../../src/api/admission.ts';
import { holdBytes } from '../../src/api/held-bytes.ts';

test('bytes held are in flight until they are given back', () => {
  const admission = createAdmission(50, 100);
  const held = holdBytes(admission);
  assert.ok(held.take(30) && held.take(40));
  assert.equal(admission.inFlightBytes, 70);
  held.give(50);
  assert.equal(admission.inFlightBytes, 20);
  held.giveAll();
  held.giveAll();
  assert.equal(admission.inFlightBytes, 0);
});

test('a request that is alone may take more than the bound, part by part, and others may not', () => {
  const admission = createAdmission(50, 100);
  const alone = holdBytes(admission);
  for (let part = 1; part <= 5; part++) assert.ok(alone.take(60));
  assert.equal(admission.inFlightBytes, 300);
  const other = holdBytes(admission);
  assert.equal(other.take(1), false);
  alone.giveAll();
  assert.ok(other.take(60));
  assert.equal(alone.take(60), false);
  assert.equal(admission.inFlightBytes, 60);
});

test('room that others get while a request gives its own back is theirs', () => {
  const admission = createAdmission(50, 100);
  const held = holdBytes(admission);
  held.take(90);
  const stopWaiting = admission.wait(() => {
    stopWaiting();
    admission.admit(40);
  });
  assert.equal(held.take(80), false);
  assert.equal(admission.inFlightBytes, 40);
  held.giveAll();
  assert.equal(admission.inFlightBytes, 40);
});

test('whatever requests take and give, the figure is the sum of what they hold and passes the bound for one alone only', () => {
  const steps = fc.array(fc.tuple(fc.nat(3), fc.nat(80), fc.boolean()), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (taken) => {
      const admission = createAdmission(50, 100);
      const requests = Array.from({ length: 4 }, () => holdBytes(admission));
      const sums = [0, 0, 0, 0];
      for (const [index, bytes, gives] of taken) {
        if (gives) {
          requests[index]!.giveAll();
          sums[index] = 0;
        } else if (requests[index]!.take(bytes)) {
          sums[index]! += bytes;
        }
        const holders = sums.filter((sum) => sum > 0).length;
        const sum = sums.reduce((total, own) => total + own, 0);
        assert.equal(admission.inFlightBytes, sum);
        assert.ok(sum <= 100 || holders === 1 || bytes === 0 || gives);
      }
    }),
  );
});
