import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClock } from '../../src/base/clock.ts';
import {
  checkLimits,
  createLogger,
  LIMITS,
  OffsetOutOfRangeError,
  signalOfCode,
  SIGNAL_CODES,
  SIGNALS,
  systemClock,
  TreasuryError,
} from '../../src/base/index.ts';

test('checkLimits() accepts the shipped limits', () => {
  checkLimits();
});

test('checkLimits() refuses a frame larger than a segment', () => {
  const limits = { ...LIMITS, frameBytesMax: LIMITS.segmentBytesMax + 1 } as unknown as typeof LIMITS;
  assert.throws(() => checkLimits(limits), /a frame must fit a segment/);
});

test('TreasuryError keeps code, message and facts across threads', () => {
  const error = new OffsetOutOfRangeError(7n, 10n, 20n);
  const copy = TreasuryError.fromJSON(structuredClone(error.toJSON()));
  assert.equal(copy.code, 'TREASURY_OFFSET_OUT_OF_RANGE');
  assert.equal(copy.message, error.message);
  assert.deepEqual(copy.facts, { requested: '7', firstOffset: '10', nextOffset: '20' });
});

test('createLogger() writes one line an event and drops what is below its level', () => {
  for (const format of ['text', 'json'] as const) {
    const lines: string[] = [];
    const logger = createLogger({ format, level: 'info', write: (line) => lines.push(line) });
    logger.debug('unseen');
    logger.warn('two\nlines', { offset: 12n, error: new Error('why') });
    assert.equal(lines.length, 1);
    assert.equal(lines[0]!.indexOf('\n'), lines[0]!.length - 1);
    assert.match(lines[0]!, /"?offset"?[=:]"12"/);
    assert.match(lines[0]!, /why/);
  }
});

test('createLogger() with format json writes parsable lines', () => {
  let line = '';
  createLogger({ format: 'json', level: 'debug', write: (text) => (line = text) }).error('boom', { bytes: 5 });
  const parsed = JSON.parse(line) as Record<string, unknown>;
  assert.deepEqual([parsed['level'], parsed['message'], parsed['bytes']], ['error', 'boom', 5]);
});

test('signalOfCode() inverts SIGNAL_CODES and knows no other number', () => {
  for (const signal of SIGNALS) assert.equal(signalOfCode(SIGNAL_CODES[signal]), signal);
  assert.equal(signalOfCode(0), undefined);
  assert.equal(signalOfCode(4), undefined);
});

test('clock follows Unix time when it is set, to the microsecond between', () => {
  const now = { unixMs: 1_700_000_000_000, ms: 0.25 };
  const clock = createClock({ unixMs: () => now.unixMs, monotonicMs: () => now.ms });
  assert.equal(clock.nowUnixNano(), 1_700_000_000_000_000_000n);
  now.ms += 0.5;
  assert.equal(clock.nowUnixNano(), 1_700_000_000_000_500_000n);
  for (const jumpMs of [-3 * 86_400_000, 10 * 365 * 86_400_000, -LIMITS.clockStepMs - 1, 3_600_000]) {
    now.unixMs += jumpMs;
    const at = clock.nowUnixNano();
    assert.equal(at, BigInt(now.unixMs) * 1_000_000n);
    now.ms += 1.5;
    now.unixMs += 1;
    assert.equal(clock.nowUnixNano() - at, 1_500_000n);
  }
  const before = clock.nowUnixNano();
  now.unixMs -= LIMITS.clockStepMs / 2;
  assert.equal(clock.nowUnixNano(), before, 'what is read a little later is no step');
});

test('systemClock tells Unix time in nanoseconds', () => {
  const differenceMs = Number(systemClock.nowUnixNano() / 1_000_000n) - Date.now();
  assert.ok(Math.abs(differenceMs) < 60_000);
});
