/**
 * Goal: an exporter loses nothing, repeats only what was in flight, and costs others nothing, whatever its target does.
 * Method: a real log, the engine of exporters with several of them, targets over real sockets; senders that record where sockets say
 * too little.
 * Invariant: everything below `ackedOffset` was acknowledged, set aside or filtered out; what is in flight is bounded.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import type { SenderConfig } from '../../../src/api/push/open-sender.ts';
import type { Sender, SendResult } from '../../../src/api/push/sender.ts';
import { SIGNAL_CODES } from '../../../src/base/index.ts';
import { countItems } from '../../../src/otap/count-items.ts';
import { appendCapture } from '../../helpers/engine-log.ts';
import { startPush } from './push-fixture.ts';
import { startGrpcTarget, startOtapTarget } from './targets.ts';

const OK: SendResult = { outcome: 'ok', bytes: 1, rejectedItems: 0, rejection: '' };
const names = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i));

function exporter(endpoint: string, more: Partial<SenderConfig> = {}): SenderConfig {
  return { name: 'test', protocol: 'otlp-grpc', endpoint, ...more };
}

/** A sender that answers when told. */
function heldSender() {
  const held: { offset: bigint; items: number; settle: (result: SendResult) => void }[] = [];
  const offsets: bigint[] = [];
  const sender: Sender = {
    send: (_batch, { offset, items }) => {
      offsets.push(offset);
      return new Promise((settle) => held.push({ offset, items, settle }));
    },
    close() {
      for (const { settle } of held.splice(0)) settle({ outcome: 'retry', reason: 'closed', mayHaveArrived: true });
      return Promise.resolve();
    },
  };
  return { held, offsets, openSender: () => sender };
}

test('an exporter begins in the middle of the log, with the state that streams had there', async (t) => {
  const target = await startOtapTarget(t);
  const push = await startPush(t);
  await push.appendStream(names(10).map((name) => [name]));
  // Offset 0 opens the stream.
  push.start(exporter(target.endpoint, { protocol: 'otap' }), 6n);
  const progress = await push.untilSent();
  assert.deepEqual(target.accepted, names(5, 5));
  assert.equal(progress.sentBatches, 5);
});

test('an exporter sends all signals of a capture, each by its own stream or service', async (t) => {
  const counts: Record<string, number> = { logs: 0, traces: 0, metrics: 0 };
  const push = await startPush(t, {
    openSender: () => ({
      send(batch, { signal, items }) {
        assert.deepEqual([batch.signal, countItems(batch)], [signal, items]);
        counts[signal]! += items;
        return Promise.resolve(OK);
      },
      close: () => Promise.resolve(),
    }),
  });
  await appendCapture(push.log, 'rich-1');
  push.start(exporter('http://unused'));
  const progress = await push.untilSent();
  assert.ok(
    Object.values(counts).every((count) => count > 0),
    JSON.stringify(counts),
  );
  assert.equal(progress.sentItems, counts['logs']! + counts['traces']! + counts['metrics']!);
});

test('a filter leaves out signals and rows, and the exporter passes them', async (t) => {
  const target = await startGrpcTarget(t);
  const push = await startPush(t);
  await push.append(['0']);
  push.start(exporter(target.endpoint, { filter: { signals: ['traces'] } }));
  push.start(exporter(target.endpoint, { name: 'rows', filter: { attributes: { nobody: 'has this' } } }));
  push.start(exporter(target.endpoint, { name: 'all' }));
  assert.deepEqual((await push.untilSent()).sentItems, 0);
  const rows = await push.untilSent('rows');
  assert.deepEqual([rows.sentItems, rows.filteredItems], [0, 1]);
  await push.untilSent('all');
  assert.deepEqual(target.accepted, ['0']);
});

test('an entry that cannot be decoded is set aside with its reason, and the rest goes on', async (t) => {
  const target = await startGrpcTarget(t);
  const push = await startPush(t);
  await push.append(['0']);
  await push.log.appendOtlp(SIGNAL_CODES.logs, {
    batchId: 0n,
    record: [Buffer.from('not OTLP')],
    headers: new Map([['content-type', 'text/plain']]),
  });
  await push.append(['2']);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.deepEqual(target.accepted, ['0', '2']);
  assert.deepEqual([push.setAside.length, push.setAside[0]!.offset, progress.setAsideEntries], [1, 1n, 1]);
  assert.match(push.setAside[0]!.reason, /content type/);
});

test('set-aside is told before the progress that passes the entry', async (t) => {
  const target = await startGrpcTarget(t, (_, { bodies }) => ({ code: bodies[0] === '1' ? 3 : 0 }));
  const push = await startPush(t);
  for (const name of names(3)) await push.append([name]);
  push.start(exporter(target.endpoint));
  await push.untilSent();
  const told = push.events.findIndex(({ type }) => type === 'set-aside');
  const passed = push.events.findIndex((event) => event.type === 'progress' && event.progress.ackedOffset > 1n);
  assert.ok(told >= 0 && told < passed);
});

test('what is in flight is bounded in batches and in bytes, however long the log is', async (t) => {
  const { held, offsets, openSender } = heldSender();
  const push = await startPush(t, { openSender, limits: { pushBatchesMax: 4, pushInFlightBytesMax: 3_000 } });
  for (const name of names(30)) await push.append([name]);
  for (const name of names(30, 30)) await push.append([name + 'x'.repeat(1_000)]);
  push.start(exporter('http://unused'));
  let most = 0;
  while ((push.progress()?.ackedOffset ?? 0n) < 60n) {
    await sleep(1);
    const progress = push.progress();
    if (progress === undefined) continue;
    const open = Number(progress.readOffset - progress.ackedOffset);
    most = Math.max(most, open);
    assert.ok(open <= (progress.ackedOffset >= 31n ? 3 : 4), `${open} entries are open`);
    for (const { settle } of held.splice(0)) settle(OK);
  }
  assert.equal(most, 4);
  assert.deepEqual(
    offsets.map(Number),
    Array.from({ length: 60 }, (_, i) => i),
  );
});

test('an entry with many items goes out in pieces, in order, and is acknowledged as a whole', async (t) => {
  const target = await startGrpcTarget(t);
  const push = await startPush(t, { limits: { pushItemsMax: 10 } });
  await push.append(names(35));
  await push.append(['last']);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.deepEqual(target.accepted, [...names(35), 'last']);
  assert.deepEqual([progress.sentBatches, progress.sentItems], [5, 36]);
  assert.ok(target.requests.every(({ bodies }) => bodies.length <= 10));
});

test('an entry that goes out in pieces is not passed before the last one is acknowledged', async (t) => {
  const { held, openSender } = heldSender();
  const push = await startPush(t, { openSender, limits: { pushItemsMax: 10 } });
  await push.append(names(20));
  push.start(exporter('http://unused'));
  while (held.length === 0) await sleep(1);
  held.shift()!.settle(OK);
  while (held.length === 0) await sleep(1);
  const { sentItems, ackedOffset } = await push.stop();
  assert.deepEqual([sentItems, ackedOffset], [10, 0n]);
});

test('a dead, a silent and a rejecting target cost the others nothing', async (t) => {
  const dead = await startGrpcTarget(t);
  await dead.stop();
  const silent = await startGrpcTarget(t, () => 'silent');
  const rejecting = await startGrpcTarget(t, () => ({ code: 3 }));
  const well = await startGrpcTarget(t);
  const push = await startPush(t, { limits: { exportSetAsideRunMax: 2 } });
  for (const name of names(50)) await push.append([name]);
  push.start(exporter(dead.endpoint, { name: 'dead' }));
  push.start(exporter(silent.endpoint, { name: 'silent' }));
  push.start(exporter(rejecting.endpoint, { name: 'rejecting' }));
  push.start(exporter(well.endpoint));
  const progress = await push.untilSent();
  assert.deepEqual([well.accepted.length, progress.retries], [50, 0]);
  assert.equal((await push.until(({ state }) => state === 'retrying', 'dead')).ackedOffset, 0n);
  assert.equal(push.progress('silent')!.ackedOffset, 0n);
  const rejected = await push.until(({ state }) => state === 'failed', 'rejecting');
  assert.match(rejected.error ?? '', /^2 batches in a row were refused, the next one too: INVALID_ARGUMENT/);
  assert.deepEqual([rejected.ackedOffset, rejected.setAsideEntries], [2n, 2]);
});

test('an exporter that refused everything goes on when its target does', async (t) => {
  let isMended = false;
  const target = await startGrpcTarget(t, () => ({ code: isMended ? 0 : 3 }));
  const push = await startPush(t, { limits: { exportSetAsideRunMax: 1 } });
  for (const name of names(5)) await push.append([name]);
  push.start(exporter(target.endpoint));
  await push.until(({ state }) => state === 'failed');
  isMended = true;
  const progress = await push.untilSent();
  assert.deepEqual(target.accepted, names(4, 1));
  assert.equal(progress.setAsideEntries, 1);
});

test('entries that retention deleted are counted as lost, and the exporter goes on behind them', async (t) => {
  const target = await startGrpcTarget(t);
  const push = await startPush(t, {
    logLimits: { segmentBytesMax: 2_000 },
    retention: { ageMaxMs: null, bytesMax: 6_000 },
  });
  for (const name of names(40)) await push.append([name + 'x'.repeat(500)]);
  await push.log.sweep();
  const { firstOffset } = push.log.status();
  assert.ok(firstOffset > 0n);
  push.start(exporter(target.endpoint), 0n);
  const progress = await push.untilSent();
  assert.equal(progress.lostEntries, firstOffset);
  assert.equal(target.accepted.length, 40 - Number(firstOffset));
});

test('a stopped exporter waits for the answers under way, and no longer than it may', async (t) => {
  const { held, openSender } = heldSender();
  const push = await startPush(t, { openSender, limits: { pushStopMaxMs: 30_000 } });
  for (const name of names(3)) await push.append([name]);
  push.start(exporter('http://unused'));
  while (held.length === 0) await sleep(1);
  const stopped = push.stop();
  await sleep(5);
  held.shift()!.settle(OK);
  assert.deepEqual([(await stopped).ackedOffset, held.length], [1n, 0]);

  const short = await startPush(t, { openSender, limits: { pushStopMaxMs: 10 } });
  for (const name of names(3)) await short.append([name]);
  short.start(exporter('http://unused'));
  while (held.length === 0) await sleep(1);
  const { ackedOffset, resentBatches } = await short.stop();
  assert.deepEqual([ackedOffset, resentBatches], [0n, 1], 'what was cut may have arrived');
});

test('an exporter that is started again while it runs goes on from where it is told', async (t) => {
  const target = await startGrpcTarget(t);
  const push = await startPush(t);
  for (const name of names(5)) await push.append([name]);
  push.start(exporter(target.endpoint));
  await push.untilSent();
  push.start(exporter(target.endpoint), 3n);
  await push.until(({ ackedOffset, sentBatches }) => ackedOffset === 5n && sentBatches === 2);
  assert.deepEqual(target.accepted, [...names(5), '3', '4']);
});

test('an exporter sleeps while nothing is to be done', async (t) => {
  const target = await startGrpcTarget(t);
  const push = await startPush(t);
  await push.append(['0']);
  push.start(exporter(target.endpoint));
  await push.until(({ state }) => state === 'idle');
  await sleep(30);
  const told = push.events.length;
  await sleep(100);
  assert.equal(push.events.length, told);
});

test('nothing is lost and order holds through any faults of the target and any stops', async (t) => {
  const fault = fc.constantFrom('ok', 'ok', 'ok', 'late', 'unavailable', 'cut', 'end');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fault, { minLength: 5, maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 3 }),
      fc.constantFrom('otap' as const, 'otlp-grpc' as const),
      async (faults, stops, protocol) => {
        const replyTo = (index: number): 'cut' | { status: number; afterMs?: number } | { end: number } => {
          const kind = faults[index % faults.length]!;
          if (kind === 'cut' && index < 60) return 'cut';
          if (kind === 'end' && index < 60) return { end: 14 };
          if (kind === 'unavailable' && index < 60) return { status: 14 };
          return kind === 'late' ? { status: 0, afterMs: 4 } : { status: 0 };
        };
        const target =
          protocol === 'otap'
            ? await startOtapTarget(t, { reply: replyTo })
            : await startGrpcTarget(t, async (index) => {
                const reply = replyTo(index);
                if (reply === 'cut') return reply;
                if ('end' in reply) return { code: reply.end };
                if (reply.afterMs !== undefined) await sleep(reply.afterMs);
                return { code: reply.status };
              });
        const push = await startPush(t);
        const started = () => push.start(exporter(target.endpoint, { protocol }), acked);
        let acked = 0n;
        started();
        await Promise.all(['a', 'b'].map((stream) => push.appendStream(names(12).map((name) => [stream + name]))));
        for (const ms of stops) {
          await sleep(ms);
          const { ackedOffset } = await push.stop();
          assert.ok(ackedOffset >= acked, 'ackedOffset went back');
          acked = ackedOffset;
          started();
        }
        await push.untilSent();
        assert.deepEqual(push.setAside, []);
        for (const stream of ['a', 'b']) {
          // A batch whose answer was lost came before too: first arrivals are in order, and all are there.
          const arrived = [...new Set(target.accepted.filter((body) => body.startsWith(stream)))];
          assert.deepEqual(
            arrived,
            names(12).map((name) => stream + name),
          );
        }
        await push.stop();
        await target.stop();
      },
    ),
    { numRuns: 15 },
  );
});
