/** Goal: what clients do not read is bounded, for each and together, and holds up nobody else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createOutflow } from '../../../src/api/prometheus/outflow.ts';

const NEVER = new AbortController().signal;
const LIMITS = { bufferedBytesMax: 10, bufferedTotalBytesMax: 16 };

/** Sends chunks of 5 bytes until it has to wait. `sent` counts those. */
function startSender(outflow: ReturnType<typeof createOutflow>, id: number, signal = NEVER): { sent: number } {
  const sender = { sent: 0 };
  void (async () => {
    while (sender.sent < 100 && !signal.aborted) {
      sender.sent++;
      await outflow.sent(id, 5, signal);
    }
  })();
  return sender;
}

test('an answer goes as far ahead of its reader as its bound', async () => {
  const outflow = createOutflow(LIMITS);
  const sender = startSender(outflow, 1);
  await turn();
  assert.equal(sender.sent, 2);
  outflow.taken(1, 5);
  await turn();
  assert.equal(sender.sent, 3);
});

test('past the bound of all, each answer has one chunk on its way, and more once others were read', async () => {
  const outflow = createOutflow(LIMITS);
  const stuck = [startSender(outflow, 1), startSender(outflow, 2)];
  await turn();
  assert.deepEqual(stuck, [{ sent: 2 }, { sent: 2 }]);
  const read = startSender(outflow, 3);
  for (let chunk = 1; chunk < 10; chunk++) {
    await turn();
    assert.equal(read.sent, chunk);
    outflow.taken(3, 5);
  }
  outflow.taken(1, 10);
  await turn();
  assert.ok(read.sent > 10);
});

test('an answer that is given up waits no longer', async () => {
  const outflow = createOutflow(LIMITS);
  const leave = new AbortController();
  await outflow.sent(1, 5, leave.signal);
  const waiting = outflow.sent(1, 50, leave.signal);
  leave.abort();
  await waiting;
});
