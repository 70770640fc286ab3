import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAdmission } from '../../src/api/admission.ts';

test('admission wakes those who wait when there is room, oldest first, until it is full again', () => {
  const admission = createAdmission(10, 20);
  assert.ok(admission.admit(15));
  const woken: string[] = [];
  const waitAs = (name: string, bytes: number) =>
    admission.wait(() => {
      woken.push(name);
      admission.admit(bytes);
    });
  waitAs('first', 6);
  const leave = waitAs('left', 1);
  waitAs('second', 6);
  waitAs('third', 6);
  leave();
  admission.release(3);
  assert.deepEqual(woken, []);
  admission.release(12);
  assert.deepEqual(woken, ['first', 'second']);
  assert.equal(admission.inFlightBytes, 12);
});
