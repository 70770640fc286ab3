/**
 * Goal: whatever happens to clocks, sizes and consumers, only the oldest segments go, for a reason that holds, and never the last.
 * Method: the rules on made-up segments, with clocks that jump, and random ones.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Clock, LIMITS, silentLogger } from '../../src/base/index.ts';
import { Holds } from '../../src/log/holds.ts';
import type { KeptSegment } from '../../src/log/kept-segments.ts';
import { createRetentionClock, timeAtOpen } from '../../src/log/retention-clock.ts';
import { deletionReason, type RetentionState } from '../../src/log/retention-plan.ts';

const DAY_MS = 86_400_000;
const YEAR_DAYS = 365;
const day = (days: number): bigint => BigInt(Math.round(days * DAY_MS)) * 1_000_000n;
const NOW = 20_000;

/** Segments of ten entries received at these days; null: nothing of it can be read. */
function segmentsAt(days: readonly (number | null)[]): KeptSegment[] {
  return days.map((at, i) => ({
    baseOffset: BigInt(i * 10),
    endOffset: BigInt(i * 10 + 10),
    bytes: 100,
    entries: 10n,
    receivedAtMax: at === null ? null : day(at),
  }));
}

function state(segments: KeptSegment[], more: Partial<RetentionState> = {}): RetentionState {
  return {
    segments,
    bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    nowUnixNano: day(NOW),
    ageMaxMs: 7 * DAY_MS,
    bytesMax: 1e9,
    missingBytes: 0,
    receivedBefore: null,
    holds: new Holds(),
    ...more,
  };
}

/** How many of the oldest segments go. */
function deleted(days: readonly (number | null)[], more: Partial<RetentionState> = {}): number {
  let segments = segmentsAt(days);
  let receivedBefore: bigint | null = null;
  for (let count = 0; ; count++) {
    const now = state(segments, { receivedBefore, ...more });
    if (deletionReason(now) === null) return count;
    const { receivedAtMax } = segments[0]!;
    if (receivedAtMax !== null && receivedAtMax <= now.nowUnixNano) receivedBefore = receivedAtMax;
    segments = segments.slice(1);
  }
}

test('segments older than the limit go, up to the last with entries', () => {
  assert.equal(deleted([NOW - 9, NOW - 8, NOW - 6, NOW - 5]), 2);
  assert.equal(deleted([NOW - 9, NOW - 8]), 1);
  assert.equal(deleted([NOW - 9]), 0);
  assert.equal(deleted([]), 0);
  const [last, empty] = segmentsAt([NOW - 9, null]) as [KeptSegment, KeptSegment];
  empty.endOffset = empty.baseOffset;
  assert.equal(deletionReason(state([last, empty])), null, 'the damaged one behind it does not say where the log ends');
});

test('a clock that was set back makes segments behind it no older than those before', () => {
  // Received after day -5, with a clock that was three days behind then.
  assert.equal(deleted([NOW - 5, NOW - 8, NOW - 8, NOW - 1]), 0);
  assert.equal(deleted([NOW - 8, NOW - 11, NOW - 1]), 2);
});

test('a clock that was ahead makes segments neither immortal nor old', () => {
  const ahead = NOW + 10 * YEAR_DAYS;
  assert.equal(deleted([NOW - 9, ahead, NOW - 8.5, NOW - 8, NOW - 1]), 4);
  assert.equal(deleted([NOW - 9, ahead, NOW - 6, NOW - 5]), 1, 'the one received with it is as old as the next');
  assert.equal(deleted([ahead, ahead]), 0);
});

test('a segment of a clock that was not set is as old as the next one', () => {
  assert.equal(deleted([0.01, NOW - 1, NOW - 1]), 0);
  assert.equal(deleted([NOW - 9, 0.01, NOW - 6]), 1);
  assert.equal(deleted([0.01, NOW - 9, NOW - 1]), 2);
});

test('a segment that cannot be read is as old as the next one', () => {
  assert.equal(deleted([null, NOW - 9, NOW - 1]), 2);
  assert.equal(deleted([null, NOW - 6, NOW - 1]), 0);
  assert.equal(deleted([null, null]), 0);
});

test('consumers delay deletion as their policy says', () => {
  const holds = new Holds();
  const hold = holds.take('exporter', { offset: 15n, policy: 'drop' });
  const old = [NOW - 9, NOW - 9, NOW - 9, NOW - 1];
  assert.equal(deleted(old, { holds }), 1);
  assert.equal(deleted(old, { holds, missingBytes: 1 }), 3, 'room is made past it');
  assert.equal(deleted(old, { holds, bytes: 5, bytesMax: 4 }), 3);
  const other = holds.take('archive', { offset: 25n, policy: 'hold' });
  hold.advance(40n);
  assert.equal(deleted(old, { holds, missingBytes: 1, bytes: 5, bytesMax: 4 }), 2);
  other.release();
  assert.equal(deleted(old, { holds }), 3);
});

test('a hold that was replaced does not release the one after it', () => {
  const holds = new Holds();
  const first = holds.take('a', { offset: 0n, policy: 'hold' });
  holds.take('a', { offset: 5n, policy: 'drop' });
  first.release();
  assert.deepEqual(holds.status(), [{ name: 'a', policy: 'drop', offset: 5n, passedEntries: 0n }]);
});

test('a consumer is where it answers in time that it is, and else where it was', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const holds = new Holds();
  let answerLate!: (offset: bigint) => void;
  const late = new Promise<bigint>((resolve) => (answerLate = resolve));
  holds.take('ahead', { offset: 50n, policy: 'hold', ask: () => Promise.resolve(99n) });
  holds.take('late', { offset: 5n, policy: 'hold', ask: () => late });
  holds.take('prompt', { offset: 5n, policy: 'hold', ask: () => Promise.resolve(40n) });
  holds.take('silent', { offset: 5n, policy: 'hold' });
  holds.take('sick', { offset: 5n, policy: 'hold', ask: () => Promise.reject(new Error('It does not know')) });
  const asked = holds.catchUp(20n);
  await new Promise((resolve) => setImmediate(resolve));
  t.mock.timers.tick(LIMITS.holdAnswerMaxMs);
  await asked;
  const offsets = (): unknown => Object.fromEntries(holds.status().map(({ name, offset }) => [name, offset]));
  const expected = { ahead: 50n, late: 5n, prompt: 40n, silent: 5n, sick: 5n };
  assert.deepEqual(offsets(), expected);
  assert.ok(holds.needs(20n, 'hold'));
  answerLate(60n);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(offsets(), expected, 'an answer that came too late may be of another time');
});

test('entries deleted past a consumer are counted once', () => {
  const holds = new Holds();
  const hold = holds.take('a', { offset: 5n, policy: 'drop' });
  assert.deepEqual(holds.deleted(0n, 10n), ['a']);
  hold.advance(7n);
  assert.deepEqual(holds.deleted(0n, 10n), []);
  assert.deepEqual(holds.deleted(10n, 20n), ['a']);
  hold.advance(40n);
  assert.deepEqual(holds.deleted(20n, 30n), []);
  assert.equal(holds.status()[0]!.passedEntries, 15n);
});

test('nothing goes out of order, that is held, or that is the last, whatever comes together', () => {
  const times = fc.array(fc.option(fc.integer({ min: NOW - 20, max: NOW + 20 }), { nil: null }), { maxLength: 12 });
  fc.assert(
    fc.property(
      times,
      fc.array(fc.record({ offset: fc.nat(120), policy: fc.constantFrom('drop' as const, 'hold' as const) })),
      fc.integer({ min: -300, max: 1_500 }),
      fc.integer({ min: 0, max: 1_500 }),
      fc.option(fc.integer({ min: 0, max: 30 }), { nil: null }),
      (days, claims, missingBytes, bytesMax, ageDays) => {
        const holds = new Holds();
        claims.forEach(({ offset, policy }, i) => holds.take(String(i), { offset: BigInt(offset), policy }));
        const ageMaxMs = ageDays === null ? null : ageDays * DAY_MS;
        const reason = deletionReason(state(segmentsAt(days), { holds, missingBytes, bytesMax, ageMaxMs }));
        if (reason === null) return;
        assert.ok(days.length > 1);
        const needed = claims.filter(({ offset }) => offset < 10);
        assert.ok(needed.every(({ policy }) => policy === 'drop'));
        if (reason === 'age') {
          assert.equal(needed.length, 0);
          const known = days.find((at) => at !== null && at <= NOW);
          assert.ok(known !== undefined && known! < NOW - ageDays!);
        }
        if (reason === 'bytes') assert.ok(days.length * 100 > bytesMax);
        if (reason === 'reserve') assert.ok(missingBytes > 0);
      },
    ),
  );
});

/** A clock whose two hands a test moves. */
function handClock(): Clock & { wall: bigint; ms: number; pass(ms: number): void } {
  return {
    wall: day(NOW),
    ms: 5,
    nowUnixNano() {
      return this.wall;
    },
    monotonicMs() {
      return this.ms;
    },
    pass(ms) {
      this.ms += ms;
      this.wall += BigInt(ms) * 1_000_000n;
    },
  };
}

test('a clock that jumps ahead and back ages nothing', () => {
  const clock = handClock();
  const { now } = createRetentionClock(clock, silentLogger);
  clock.pass(60_000);
  assert.equal(now(), clock.wall);
  const before = clock.wall;
  clock.wall += day(10 * YEAR_DAYS);
  for (let hours = 0; hours < 5; hours++) {
    clock.pass(3_600_000);
    assert.equal(now(), before + day((hours + 1) / 24));
  }
  clock.wall -= day(10 * YEAR_DAYS);
  assert.equal(now(), clock.wall);
});

test('a clock that goes back is believed at once, and when it returns', () => {
  const clock = handClock();
  const { now } = createRetentionClock(clock, silentLogger);
  clock.wall -= day(3);
  assert.equal(now(), clock.wall);
  clock.pass(3_600_000);
  assert.equal(now(), clock.wall);
  clock.wall += day(3);
  assert.equal(now(), clock.wall);
});

test('a clock that stays where it jumped to is believed in the end', () => {
  const clock = handClock();
  const { now } = createRetentionClock(clock, silentLogger);
  clock.wall += day(2);
  const reckoned = clock.wall - day(2);
  assert.equal(now(), reckoned);
  clock.pass(LIMITS.clockTrustMs - 1);
  assert.ok(now() < clock.wall);
  clock.wall += day(1);
  assert.ok(now() < clock.wall - day(2), 'another jump is doubted anew');
  clock.pass(LIMITS.clockTrustMs);
  assert.equal(now(), clock.wall);
  clock.pass(1_000);
  assert.equal(now(), clock.wall);
});

test('a clock that is corrected little by little is followed', () => {
  const clock = handClock();
  const { now } = createRetentionClock(clock, silentLogger);
  for (let i = 0; i < 100; i++) {
    clock.pass(1_000);
    clock.wall += BigInt(LIMITS.clockSlackMs - 1) * 1_000_000n;
    assert.equal(now(), clock.wall);
  }
});

const wholeDays = (at: bigint): number => Number(at / day(1));
const openedAt = (now: number, ...days: readonly (number | null)[]): number =>
  wholeDays(
    timeAtOpen(
      day(now),
      days.map((at) => (at === null ? null : day(at))),
    ),
  );

test('a clock at open is believed up to a month past the newest entry', () => {
  assert.equal(openedAt(NOW), NOW);
  assert.equal(openedAt(NOW, null), NOW);
  assert.equal(openedAt(NOW, NOW - 40, NOW - 29), NOW);
  assert.equal(openedAt(NOW, NOW - 60, NOW - 31, null), NOW - 31);
  assert.equal(openedAt(NOW, NOW + 3), NOW, 'set back');
  assert.equal(openedAt(NOW + 10 * YEAR_DAYS, NOW - 2, NOW - 1, NOW), NOW);
});

test('a clock at open is not believed for entries of an earlier start', () => {
  const ahead = NOW + 10 * YEAR_DAYS;
  assert.equal(openedAt(ahead + 1, NOW - 1, NOW, ahead, ahead + 0.2), NOW);
  assert.equal(openedAt(ahead + 1, NOW - 1, NOW, ahead, ahead + 1), ahead + 1, 'it has been so for long');
  assert.equal(openedAt(ahead + 90, NOW, ahead, ahead + 50, ahead + 89), NOW);
  assert.equal(openedAt(NOW + 9, NOW, ahead, NOW + 1, NOW + 8), NOW + 9, 'it was put right');
  assert.equal(openedAt(ahead + 20, NOW, ahead, NOW + 1, NOW + 19, ahead + 20), NOW + 19, 'ahead twice');
  assert.equal(openedAt(NOW + 40, 0.01, NOW - 1, NOW + 39), NOW - 1);
  assert.equal(openedAt(NOW, 0.01, NOW - 1), NOW, 'one that was not set says nothing');
});

test('a clock that is years ahead at open ages nothing until it has stayed there', () => {
  const clock = handClock();
  const newest = clock.wall;
  clock.wall += day(10 * YEAR_DAYS);
  const { now } = createRetentionClock(clock, silentLogger, timeAtOpen(clock.wall, [newest - day(9), newest]));
  assert.equal(now(), newest);
  clock.pass(3_600_000);
  assert.equal(now(), newest + day(1 / 24));
  clock.pass(LIMITS.clockTrustMs);
  assert.equal(now(), clock.wall);
});
