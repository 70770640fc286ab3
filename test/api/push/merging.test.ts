/**
 * Goal: small entries go out together, as many at a time as may be under way, and a bad one among them is still the only one set aside.
 * Method: a real log, the engine of exporters, targets over real sockets that hold their first answer, refuse, or fail at random.
 * Invariant: nothing is lost; with one request of a lane under way, what arrives for the first time is in order.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { type OpenSender, openSender, type SenderConfig } from '../../../src/api/push/open-sender.ts';
import type { Sender, SendResult } from '../../../src/api/push/sender.ts';
import { LIMITS } from '../../../src/base/index.ts';
import { startPush } from './push-fixture.ts';
import { startGrpcTarget, startHttpTarget, startOtapTarget } from './targets.ts';

const { pushMergedBatchesMax } = LIMITS;
const MERGING = { limits: { pushMergedBatchesMax } };
const names = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i));

function exporter(endpoint: string, more: Partial<SenderConfig> = {}): SenderConfig {
  return { name: 'test', protocol: 'otlp-grpc', endpoint, ...more };
}

/** The real senders, whose first batch waits until the rest of the log is read. */
function gatedSender(t: TestContext): { readonly openSender: OpenSender; readonly open: () => void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  t.after(() => open());
  return {
    open,
    openSender(config) {
      const sender = openSender(config);
      return {
        send: (batch, facts) => opened.then(() => sender.send(batch, facts)),
        close: () => sender.close(),
      };
    },
  };
}

for (const protocol of ['otlp-grpc', 'otlp-http'] as const) {
  test(`small entries that wait go out as one request by ${protocol}`, async (t) => {
    const target = protocol === 'otlp-grpc' ? await startGrpcTarget(t) : await startHttpTarget(t);
    const gate = gatedSender(t);
    const push = await startPush(t, { ...MERGING, openSender: gate.openSender });
    for (const name of names(100)) await push.append([name]);
    push.start(exporter(target.endpoint, { protocol }));
    await push.until(({ readOffset }) => readOffset === 100n);
    gate.open();
    const progress = await push.untilSent();
    assert.deepEqual(target.accepted, names(100));
    // Some may have been read before the first went out.
    assert.ok(target.requests.length <= 3, `${target.requests.length} requests`);
    assert.deepEqual([progress.sentBatches, progress.sentItems, progress.retries], [100, 100, 0]);
  });
}

test('small batches of one stream go out as one batch by OTAP, with the stream state of each', async (t) => {
  const target = await startOtapTarget(t);
  const gate = gatedSender(t);
  const push = await startPush(t, { ...MERGING, openSender: gate.openSender });
  await push.appendStream(names(100).map((name) => [name]));
  push.start(exporter(target.endpoint, { protocol: 'otap' }));
  await push.until(({ readOffset }) => readOffset > 100n);
  gate.open();
  const progress = await push.untilSent();
  assert.deepEqual(target.accepted, names(100));
  assert.ok(target.batches.length <= 3, `${target.batches.length} batches`);
  assert.equal(progress.sentBatches, 100);
});

test('requests stay below the bounds of items and batches that they are merged to', async (t) => {
  const target = await startGrpcTarget(t);
  const gate = gatedSender(t);
  const limits = { pushMergedBatchesMax: 8, pushItemsMax: 20 };
  const push = await startPush(t, { limits, openSender: gate.openSender });
  for (let i = 0; i < 60; i++) await push.append(names(i % 2 === 0 ? 1 : 7, i * 10));
  push.start(exporter(target.endpoint));
  await push.until(({ readOffset }) => readOffset === 60n);
  gate.open();
  await push.untilSent();
  assert.equal(target.accepted.length, 240);
  assert.ok(target.requests.every(({ bodies }) => bodies.length <= 20));
  assert.ok(target.requests.length < 30);
});

for (const protocol of ['otlp-grpc', 'otap'] as const) {
  test(`the one bad entry among merged ones is set aside, and the others arrive once, by ${protocol}`, async (t) => {
    const isBad = (bodies: readonly string[]) => bodies.includes('41');
    const target =
      protocol === 'otap'
        ? await startOtapTarget(t, {
            reply: (_, { bodies }) => ({ status: isBad(bodies) ? 3 : 0, message: 'bad row' }),
          })
        : await startGrpcTarget(t, (_, { bodies }) => ({ code: isBad(bodies) ? 3 : 0, message: 'bad row' }));
    const push = await startPush(t, MERGING);
    await push.appendStream(names(90).map((name) => [name]));
    push.start(exporter(target.endpoint, { protocol }));
    const progress = await push.untilSent();
    assert.deepEqual(
      target.accepted,
      names(90).filter((name) => name !== '41'),
    );
    // Offset 0 opens the stream.
    assert.deepEqual(
      push.setAside.map(({ offset }) => offset),
      [42n],
    );
    assert.match(push.setAside[0]!.reason, /bad row \(5 tries\)$/);
    assert.deepEqual([progress.sentBatches, progress.setAsideEntries, progress.error], [89, 1, null]);
  });
}

test('merged entries that are larger than a target takes go out in parts of them', async (t) => {
  const target = await startGrpcTarget(t, (_, { bodies }) =>
    bodies.length > 6 ? { code: 8, message: 'received message larger than max' } : { code: 0 },
  );
  const push = await startPush(t, MERGING);
  await push.appendStream(names(40).map((name) => [name]));
  await push.append(names(13, 40));
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.deepEqual(target.accepted.toSorted(), names(53).toSorted());
  assert.deepEqual(
    target.accepted.filter((name) => Number(name) < 40),
    names(40),
  );
  assert.deepEqual([push.setAside, progress.setAsideEntries], [[], 0]);
});

test('so many requests of a lane are under way as the configuration says', async (t) => {
  for (const [inFlight, most] of [
    [undefined, 1],
    [4, 4],
  ] as const) {
    let underWay = 0;
    let busiest = 0;
    const waiting: (() => void)[] = [];
    const sender: Sender = {
      async send() {
        busiest = Math.max(busiest, ++underWay);
        await new Promise<void>((resolve) => waiting.push(resolve));
        underWay--;
        return { outcome: 'ok', bytes: 1, rejectedItems: 0, rejection: '' };
      },
      close: () => Promise.resolve(waiting.splice(0).forEach((settle) => settle())),
    };
    const push = await startPush(t, { openSender: () => sender });
    for (const name of names(20)) await push.append([name]);
    push.start(exporter('http://unused', inFlight === undefined ? {} : { inFlight }));
    await push.until(({ readOffset }) => readOffset === 20n);
    while (waiting.length < most) await sleep(1);
    while ((push.progress()?.ackedOffset ?? 0n) < 20n) {
      waiting.shift()?.();
      await sleep(1);
    }
    assert.equal(busiest, most);
    await push.stop();
  }
});

test('a request that is put off is tried again before those behind it, and nothing new begins meanwhile', async (t) => {
  const order: bigint[] = [];
  const tries = new Map<bigint, number>();
  const sender: Sender = {
    async send(_batch, { offset }): Promise<SendResult> {
      order.push(offset);
      const count = (tries.get(offset) ?? 0) + 1;
      tries.set(offset, count);
      await sleep(1);
      // The first three are put off once, all at the same time.
      if (offset < 3n && count === 1) return { outcome: 'retry', reason: 'later', mayHaveArrived: false };
      return { outcome: 'ok', bytes: 1, rejectedItems: 0, rejection: '' };
    },
    close: () => Promise.resolve(),
  };
  const push = await startPush(t, { openSender: () => sender });
  for (const name of names(8)) await push.append([name]);
  push.start(exporter('http://unused', { inFlight: 3 }));
  await push.untilSent();
  const again = order.filter((offset, i) => order.indexOf(offset) < i);
  assert.deepEqual(again, [0n, 1n, 2n]);
  assert.ok(order.indexOf(3n) > order.lastIndexOf(2n), order.join(' '));
});

test('a request that is put off waits for the one before it, also when that is put off later', async (t) => {
  const order: bigint[] = [];
  const held = new Map<bigint, (result: SendResult) => void>();
  const again: SendResult = { outcome: 'retry', reason: 'later', mayHaveArrived: false };
  const sender: Sender = {
    send(_batch, { offset }) {
      order.push(offset);
      if (order.length > 2) return Promise.resolve({ outcome: 'ok', bytes: 1, rejectedItems: 0, rejection: '' });
      return new Promise((resolve) => held.set(offset, resolve));
    },
    close: () => Promise.resolve(held.forEach((settle) => settle(again))),
  };
  const push = await startPush(t, { openSender: () => sender });
  for (const name of names(2)) await push.append([name]);
  push.start(exporter('http://unused', { inFlight: 2 }));
  while (held.size < 2) await sleep(1);
  held.get(1n)!(again);
  await push.until(({ retries }) => retries === 1);
  held.get(0n)!(again);
  await push.untilSent();
  assert.deepEqual(order, [0n, 1n, 0n, 1n]);
});

test('nothing is lost, and order holds, whatever is merged, under way and refused', async (t) => {
  const fault = fc.constantFrom('ok', 'ok', 'ok', 'late', 'unavailable', 'cut');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fault, { minLength: 5, maxLength: 40 }),
      fc.constantFrom(2, 5, pushMergedBatchesMax),
      fc.constantFrom(1, 3),
      fc.constantFrom('otap' as const, 'otlp-grpc' as const),
      fc.integer({ min: -12, max: 11 }),
      async (faults, merged, inFlight, protocol, poison) => {
        const bad = `a${poison}`;
        const kindOf = (index: number, bodies: readonly string[]) => {
          if (bodies.includes(bad)) return 'refused';
          return index < 60 ? faults[index % faults.length]! : 'ok';
        };
        const codes: Record<string, number> = { ok: 0, late: 0, refused: 3, unavailable: 14 };
        const target =
          protocol === 'otap'
            ? await startOtapTarget(t, {
                reply: (index, { bodies }) => {
                  const kind = kindOf(index, bodies);
                  if (kind === 'cut') return kind;
                  return { status: codes[kind]!, ...(kind === 'late' ? { afterMs: 4 } : {}) };
                },
              })
            : await startGrpcTarget(t, async (index, { bodies }) => {
                const kind = kindOf(index, bodies);
                if (kind === 'cut') return kind;
                if (kind === 'late') await sleep(4);
                return { code: codes[kind]! };
              });
        const push = await startPush(t, { limits: { pushMergedBatchesMax: merged } });
        push.start(exporter(target.endpoint, { protocol, inFlight }));
        await Promise.all(['a', 'b'].map((stream) => push.appendStream(names(12).map((name) => [stream + name]))));
        const { setAsideEntries } = await push.untilSent();
        assert.equal(setAsideEntries, poison < 0 ? 0 : 1);
        for (const stream of ['a', 'b']) {
          const arrived = [...new Set(target.accepted.filter((body) => body.startsWith(stream)))];
          const wanted = names(12)
            .map((name) => stream + name)
            .filter((body) => body !== bad);
          if (inFlight === 1) assert.deepEqual(arrived, wanted);
          else assert.deepEqual(arrived.toSorted(), wanted.toSorted());
        }
        await push.stop();
        await target.stop();
      },
    ),
    { numRuns: 20 },
  );
});
