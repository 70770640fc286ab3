/**
 * Goal: what an exporter over OTAP does with every status, and with streams that end.
 * Method: a real log, the engine of exporters, and a target over a real socket that decodes each stream as it comes.
 * Invariant: nothing is lost; batches of one lane arrive in order; what a broken stream took along comes again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOtapSender, type OtapSenderLimits } from '../../../src/api/push/otap-sender.ts';
import { openSender, type SenderConfig } from '../../../src/api/push/open-sender.ts';
import { startPush } from './push-fixture.ts';
import { startOtapTarget } from './targets.ts';

function exporter(endpoint: string, more: Partial<SenderConfig> = {}): SenderConfig {
  return { name: 'test', protocol: 'otap', endpoint, ...more };
}

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

/** Streams that live shorter than those of real ones. */
function withLimits(limits: OtapSenderLimits) {
  return {
    openSender: (config: SenderConfig) =>
      config.protocol === 'otap' ? createOtapSender(config, limits) : openSender(config),
  };
}

for (const compression of ['zstd', 'gzip', 'none'] as const) {
  test(`an exporter sends all entries in order over one OTAP stream with ${compression}`, async (t) => {
    const target = await startOtapTarget(t);
    const push = await startPush(t);
    for (const name of names(30)) await push.append([name]);
    push.start(exporter(target.endpoint, { compression, headers: { 'X-Tenant': 'one' } }));
    const progress = await push.untilSent();
    assert.deepEqual(target.accepted, names(30));
    assert.deepEqual(
      target.batches.map(({ batchId }) => batchId),
      names(30).map(BigInt),
    );
    assert.deepEqual([target.streams, progress.sentBatches, progress.sentItems], [1, 30, 30]);
    assert.equal(target.headers[0]!['grpc-encoding'], compression === 'none' ? undefined : compression);
    assert.equal(target.headers[0]!['x-tenant'], 'one');
  });
}

for (const status of [1, 4, 10, 14]) {
  test(`an exporter sends again what batch status ${status} puts off, in order`, async (t) => {
    const target = await startOtapTarget(t, {
      reply: (index) => ({ status: index === 1 || index === 2 ? status : 0 }),
    });
    const push = await startPush(t);
    for (const name of names(5)) await push.append([name]);
    push.start(exporter(target.endpoint));
    const progress = await push.untilSent();
    assert.deepEqual(target.accepted, names(5));
    assert.deepEqual([target.streams, progress.retries, progress.setAsideEntries], [1, 2, 0]);
  });
}

for (const status of [3, 8, 12, 13]) {
  test(`an exporter sets aside what batch status ${status} refuses, after bounded tries`, async (t) => {
    const target = await startOtapTarget(t, {
      reply: (_, { bodies }) => ({ status: bodies[0] === '1' ? status : 0, message: 'no' }),
    });
    const push = await startPush(t);
    for (const name of names(4)) await push.append([name]);
    push.start(exporter(target.endpoint));
    await push.untilSent();
    assert.deepEqual(target.accepted, ['0', '2', '3']);
    assert.equal(target.batches.length, 3 + 5);
    assert.deepEqual(
      push.setAside.map(({ offset }) => offset),
      [1n],
    );
    assert.match(push.setAside[0]!.reason, /: no \(5 tries\)$/);
  });
}

test('an exporter begins another stream when one is old, and loses and repeats nothing', async (t) => {
  const target = await startOtapTarget(t, { reply: () => ({ status: 0, afterMs: 2 }) });
  const push = await startPush(t, withLimits({ ageMaxMs: 20 }));
  push.start(exporter(target.endpoint));
  for (const name of names(60)) await push.append([name]);
  const progress = await push.untilSent();
  assert.deepEqual(target.accepted, names(60));
  assert.ok(target.streams > 2 && target.halfClosed >= target.streams - 1, `${target.streams} streams`);
  assert.deepEqual([progress.retries, progress.resentBatches], [0, 0]);
});

test('an exporter half-closes a stream behind the status of its last batch', async (t) => {
  const target = await startOtapTarget(t, { reply: (index) => ({ status: 0, afterMs: 5 + (index % 3) * 10 }) });
  const push = await startPush(t, withLimits({ ageMaxMs: 8 }));
  for (const name of names(40)) await push.appendStream([[name]]);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.equal(target.accepted.length, 40);
  assert.ok(target.halfClosed > 0, `${target.streams} streams`);
  assert.deepEqual([target.halfClosedEarly, progress.retries, progress.resentBatches], [0, 0, 0]);
});

test('an exporter begins another stream when its dictionaries have grown', async (t) => {
  const target = await startOtapTarget(t);
  const push = await startPush(t, withLimits({ stateBytesMax: 10_000 }));
  for (const name of names(20)) await push.append([name + 'x'.repeat(1_000)]);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.equal(target.accepted.length, 20);
  assert.ok(target.streams >= 2, `${target.streams} streams`);
  assert.equal(progress.retries, 0);
});

test('an exporter goes on with another stream when the target ends one, and sends again what had no status', async (t) => {
  const target = await startOtapTarget(t, { reply: (index) => (index % 4 === 3 ? { end: 0 } : { status: 0 }) });
  const push = await startPush(t);
  for (const name of names(10)) await push.append([name]);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.deepEqual(target.accepted, names(10));
  assert.equal(progress.resentBatches, target.streams - 1);
  assert.equal(progress.error, null);
});

for (const broken of ['cut', { end: 14 }] as const) {
  test(`an exporter sends again over a new stream what ${JSON.stringify(broken)} took along`, async (t) => {
    const target = await startOtapTarget(t, { reply: (index) => (index === 2 ? broken : { status: 0 }) });
    const push = await startPush(t);
    for (const name of names(6)) await push.append([name]);
    push.start(exporter(target.endpoint));
    const progress = await push.untilSent();
    assert.deepEqual(target.accepted, names(6));
    assert.deepEqual([target.streams, progress.resentBatches], [2, 1]);
  });
}

test('an exporter ends its stream in order when the target says goodbye, and goes on over a new connection', async (t) => {
  const target = await startOtapTarget(t, { reply: (index) => (index === 2 ? 'goaway' : { status: 0 }) });
  const push = await startPush(t);
  for (const name of names(6)) await push.append([name]);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.deepEqual([...new Set(target.accepted)], names(6));
  assert.equal(target.streams, 2);
  assert.equal(target.halfClosed, 1);
  assert.deepEqual([progress.error, progress.setAsideEntries], [null, 0]);
});

test('an exporter finds the batch that breaks streams among several, and sets it aside', async (t) => {
  const target = await startOtapTarget(t, {
    reply: (_, { bodies }) => (bodies[0] === 'bad' ? { end: 13, message: 'cannot decode' } : { status: 0, afterMs: 5 }),
  });
  const push = await startPush(t);
  // One lane for each signal and stream: several batches under way need several streams of the source.
  for (const name of ['0', '1', 'bad', '3']) await push.appendStream([[name], [`${name} again`]]);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.deepEqual(new Set(target.accepted), new Set(['0', '0 again', '1', '1 again', 'bad again', '3', '3 again']));
  assert.equal(push.setAside.length, 1);
  assert.match(push.setAside[0]!.reason, /cannot decode \(5 tries\)/);
  assert.equal(progress.setAsideEntries, 1);
});

test('an exporter has at most a window of batches without a status', async (t) => {
  const target = await startOtapTarget(t, { reply: () => ({ status: 0, afterMs: 3 }) });
  const push = await startPush(t, withLimits({ windowBatches: 3 }));
  for (const name of names(12)) await push.appendStream([[name]]);
  push.start(exporter(target.endpoint));
  await push.untilSent();
  assert.equal(target.accepted.length, 12);
  assert.equal(target.busiest, 3);
});

test('an exporter keeps the order of each stream of the source, whatever is put off', async (t) => {
  const target = await startOtapTarget(t, {
    reply: (index) => ({ status: index % 3 === 1 ? 14 : 0, afterMs: index % 5 }),
  });
  const push = await startPush(t);
  const streams = await Promise.all(['a', 'b', 'c'].map((name) => push.appendStream(names(10).map((n) => [name + n]))));
  assert.equal(streams.length, 3);
  push.start(exporter(target.endpoint));
  await push.untilSent();
  for (const name of ['a', 'b', 'c']) {
    assert.deepEqual(
      target.accepted.filter((body) => body.startsWith(name)),
      names(10).map((n) => name + n),
    );
  }
});

test('an exporter gives up a stream on which no status comes', async (t) => {
  const target = await startOtapTarget(t, { reply: (index) => (index === 1 ? 'silent' : { status: 0 }) });
  const push = await startPush(t, withLimits({ answerMaxMs: 150 }));
  for (const name of names(3)) await push.append([name]);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  // On a busy machine a status may be late, too.
  assert.deepEqual([...new Set(target.accepted)], names(3));
  assert.ok(progress.resentBatches >= 1);
});

test('an exporter falls back to OTLP when the target does not know OTAP, and says so', async (t) => {
  const target = await startOtapTarget(t, { refuse: 12 });
  const push = await startPush(t);
  for (const name of names(3)) await push.append([name]);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.deepEqual(target.otlp, names(3));
  assert.match(progress.fallback ?? '', /^otlp-grpc, since the target does not take OTAP/);
  assert.deepEqual([progress.error, progress.setAsideEntries], [null, 0]);
});

test('an exporter waits for a target that is not there, with OTAP as before', async (t) => {
  const absent = await startOtapTarget(t);
  const port = Number(new URL(absent.endpoint).port);
  await absent.stop();
  const push = await startPush(t);
  for (const name of names(3)) await push.append([name]);
  push.start(exporter(absent.endpoint));
  const waiting = await push.until(({ state, retries }) => state === 'retrying' && retries > 2);
  assert.match(waiting.error ?? '', /ECONNREFUSED/);
  const target = await startOtapTarget(t, { port });
  const progress = await push.untilSent();
  assert.deepEqual(target.accepted, names(3));
  assert.deepEqual([progress.fallback, progress.error, progress.resentBatches], [undefined, null, 0]);
});
