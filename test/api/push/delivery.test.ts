/** Lanes of deliveries: what is added to one is sent, whenever that is, or set aside. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { createAckedOffsets } from '../../../src/api/push/acked-offsets.ts';
import { createDelivery } from '../../../src/api/push/delivery.ts';
import { createFigures } from '../../../src/api/push/figures.ts';
import { LIMITS, silentLogger } from '../../../src/base/index.ts';
import { countItems } from '../../../src/otap/count-items.ts';
import { type CanonicalBatch, decodeOtlp } from '../../../src/otap/index.ts';
import { randomRequest } from '../../helpers/otlp-wire-messages.ts';
import { logsRequest } from './push-fixture.ts';

const MICROTASKS_MAX = 40;

test('a batch that is added while its lane comes to an end is sent', async () => {
  const batch = decodeOtlp('logs', logsRequest(['text']), 'application/x-protobuf');
  for (let microtasks = 0; microtasks < MICROTASKS_MAX; microtasks++) {
    const sent: bigint[] = [];
    let answer!: () => void;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    const delivery = createDelivery({
      config: { name: 'test', protocol: 'otap', endpoint: 'http://127.0.0.1:1' },
      limits: LIMITS,
      figures: createFigures(),
      logger: silentLogger,
      signal: new AbortController().signal,
      openSender: () => ({
        async send(_batch, { offset }) {
          sent.push(offset);
          if (offset === 0n) await answered;
          return { outcome: 'ok', bytes: 1, rejectedItems: 0, rejection: '' };
        },
        close: () => Promise.resolve(),
      }),
      onChange() {},
      onSetAside() {},
    });
    const acked = createAckedOffsets(0n);
    const add = (offset: bigint): void => {
      const facts = { signal: 'logs' as const, offset, receivedAtUnixNano: 0n, items: 1 };
      delivery.add('logs 1', { batch, facts, bytes: 1, entry: acked.begin(offset, 1) });
    };
    add(0n);
    await nextTurn();
    answer();
    for (let i = 0; i < microtasks; i++) await Promise.resolve();
    add(1n);
    for (let turn = 0; turn < 10 && acked.open > 0; turn++) await nextTurn();
    assert.deepEqual([sent, acked.ackedOffset], [[0n, 1n], 2n], `after ${microtasks} microtasks`);
  }
});

test('a request of several batches that may have arrived counts as all of them', async () => {
  const figures = createFigures();
  const batch = decodeOtlp('logs', logsRequest(['text']), 'application/x-protobuf');
  const sent: number[] = [];
  const delivery = createDelivery({
    config: { name: 'test', protocol: 'otap', endpoint: 'http://127.0.0.1:1' },
    limits: { ...LIMITS, pushRetryMinMs: 1 },
    figures,
    logger: silentLogger,
    signal: new AbortController().signal,
    openSender: () => ({
      send(_batch, { items }) {
        sent.push(items);
        if (sent.length === 2) return Promise.resolve({ outcome: 'retry', reason: 'cut', mayHaveArrived: true });
        return Promise.resolve({ outcome: 'ok', bytes: 1, rejectedItems: 0, rejection: '' });
      },
      close: () => Promise.resolve(),
    }),
    onChange() {},
    onSetAside() {},
  });
  const acked = createAckedOffsets(0n);
  for (let offset = 0n; offset < 4n; offset++) {
    const facts = { signal: 'logs' as const, offset, receivedAtUnixNano: 0n, items: 1 };
    delivery.add('logs 1', { batch, facts, bytes: 1, entry: acked.begin(offset, 1) });
  }
  while (acked.open > 0) await sleep(1);
  assert.deepEqual([sent, figures.resentBatches, figures.sentBatches], [[1, 3, 3], 3, 4]);
});

test('a batch that is too large and has no row that could go alone is set aside, and passed', async () => {
  const reasons: string[] = [];
  const acked = createAckedOffsets(0n);
  const delivery = createDelivery({
    config: { name: 'test', protocol: 'otap', endpoint: 'http://127.0.0.1:1' },
    limits: LIMITS,
    figures: createFigures(),
    logger: silentLogger,
    signal: new AbortController().signal,
    openSender: () => ({
      send: () => Promise.resolve({ outcome: 'too-large', reason: 'too large' }),
      close: () => Promise.resolve(),
    }),
    onChange() {},
    onSetAside: (_entry, reason) => void reasons.push(reason),
  });
  const batch = pointsWithoutMetrics();
  const facts = { signal: 'metrics' as const, offset: 0n, receivedAtUnixNano: 0n, items: countItems(batch) };
  assert.ok(facts.items > 1);
  delivery.add('metrics 1', { batch, facts, bytes: 1, entry: acked.begin(0n, 1) });
  for (let turn = 0; turn < 10 && acked.open > 0; turn++) await nextTurn();
  assert.deepEqual([acked.open, acked.ackedOffset, delivery.isFull], [0, 1n, false]);
  assert.match(reasons.join(), /no row that could go alone has its parent$/);
});

function pointsWithoutMetrics(): CanonicalBatch {
  for (let seed = 1; ; seed++) {
    const batch = decodeOtlp('metrics', randomRequest('metrics', seed), 'application/x-protobuf');
    if (batch.signal !== 'metrics' || countItems(batch) < 2) continue;
    return { ...batch, metrics: { ...batch.metrics, rowCount: 0 } };
  }
}
