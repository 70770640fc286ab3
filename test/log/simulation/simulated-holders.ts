/** Consumers that claim entries of a simulated log while one process of it lives, and what retention must not do to them. */
import assert from 'node:assert/strict';
import type { HoldPolicy, LogHold, RetainedLog } from '../../../src/log/index.ts';
import { LIMITS } from '../../../src/base/index.ts';
import type { LogModel } from './log-model.ts';
import type { HoldAnswer, Step } from './schedule.ts';
import type { SimulatedTime } from './simulated-time.ts';

interface Consumer {
  readonly policy: HoldPolicy;
  readonly hold: LogHold;
  offset: bigint;
  /** What it has answered and the log may know by now. */
  answered: bigint | null;
  /** Entries below were being deleted when they were claimed. */
  lateBelow: bigint;
  passedEntries: bigint;
}

export interface HoldersOptions {
  readonly log: RetainedLog;
  readonly model: LogModel;
  readonly time: SimulatedTime;
  /** Base offsets of the segments that are there. */
  readonly segments: () => bigint[];
  /** End of the entries of a segment, as its file has them. */
  readonly endOf: (baseOffset: bigint) => bigint;
  /** Whether segments are being removed at this moment. */
  readonly isRemoving: () => boolean;
  /** Whether retention may delete for nothing but age. */
  readonly isByAgeAlone: () => boolean;
  readonly guard: (what: () => void) => void;
}

export class SimulatedHolders {
  readonly #options: HoldersOptions;
  readonly #consumers = new Map<string, Consumer>();
  #deletedSegments = 0;
  /** Entries of segments whose removal has begun, by base offset. */
  readonly #removed = new Map<bigint, bigint>();

  constructor(options: HoldersOptions) {
    this.#options = options;
    assert.deepEqual(options.log.status().retention.holds, [], 'holds of an earlier process');
  }

  take({ holder, policy, place, answer }: Extract<Step, { type: 'hold' }>): void {
    this.look();
    const { log } = this.#options;
    const name = nameOf(holder);
    const offset = this.#offsetAt(place);
    const ask = (): Promise<bigint | null> => this.#answer(consumer, answer!);
    const hold = log.hold(name, { offset, policy, ...(answer !== null && { ask }) });
    const lateBelow = this.#lateBelow();
    const consumer: Consumer = { policy, hold, offset, answered: null, lateBelow, passedEntries: 0n };
    this.#consumers.set(name, consumer);
  }

  advance({ holder, place }: Extract<Step, { type: 'advanceHold' }>): void {
    this.look();
    const consumer = this.#consumers.get(nameOf(holder));
    if (consumer === undefined) return;
    const offset = this.#offsetAt(place);
    if (offset < consumer.offset) consumer.lateBelow = this.#lateBelow();
    consumer.hold.advance(offset);
    consumer.offset = offset;
  }

  release({ holder }: Extract<Step, { type: 'releaseHold' }>): void {
    this.look();
    this.#consumers.get(nameOf(holder))?.hold.release();
    this.#consumers.delete(nameOf(holder));
  }

  releaseAll(): void {
    for (const holder of this.#consumers.values()) holder.hold.release();
    this.#consumers.clear();
  }

  /** Where the log says that its consumers are, and how much was deleted in front of each, is exact. */
  look(): void {
    const { log, model } = this.#options;
    const { retention, firstOffset } = log.status();
    const { age, bytes, reserve } = retention.deleted;
    const deletedSegments = age.segments + bytes.segments + reserve.segments;
    const names = retention.holds.map(({ name }) => name);
    assert.deepEqual(names.toSorted(), [...this.#consumers.keys()].toSorted(), 'names of holds');
    for (const { name, policy, offset, passedEntries } of retention.holds) {
      const consumer = this.#consumers.get(name)!;
      const isKnown = offset === consumer.offset || offset === consumer.answered;
      assert.ok(isKnown, `hold ${name} is at ${offset} instead of ${consumer.offset} or ${consumer.answered}`);
      assert.equal(policy, consumer.policy, `policy of hold ${name}`);
      // It is asked before what it has not read is deleted: this came first.
      consumer.offset = offset;
      if (deletedSegments > this.#deletedSegments) {
        consumer.passedEntries += this.#removedEntries(offset, firstOffset);
      }
      // An index that claims too much knows of entries that never were.
      if (!model.expectsFindings) assert.equal(passedEntries, consumer.passedEntries, `passed entries of hold ${name}`);
    }
    this.#deletedSegments = deletedSegments;
    for (const base of this.#removed.keys()) if (base < firstOffset) this.#removed.delete(base);
  }

  /** The log is about to remove a segment: nothing in it may be claimed by those that retention must not pass over. */
  onRemove(baseOffset: bigint): void {
    const { model, segments, endOf, isByAgeAlone } = this.#options;
    this.#removed.set(baseOffset, endOf(baseOffset));
    const end = segments().find((base) => base > baseOffset) ?? null;
    const isAge = isByAgeAlone();
    for (const [name, { policy, offset, lateBelow }] of this.#consumers) {
      if (policy === 'drop' && !isAge) continue;
      const claimed = model.findEntry(max(baseOffset, max(offset, lateBelow)), end);
      assert.equal(claimed, null, `${name} (${policy}) needs entries from ${offset} on, and this one is deleted`);
    }
  }

  #answer(consumer: Consumer, answer: HoldAnswer): Promise<bigint | null> {
    const { log, time, guard } = this.#options;
    guard(() => this.look());
    const { durableOffset } = log.status();
    const offset =
      consumer.offset + BigInt(Math.round(Number(max(durableOffset - consumer.offset, 0n)) * answer.place));
    if (answer.delayMs < LIMITS.holdAnswerMaxMs) consumer.answered = answer.kind === 'offset' ? offset : null;
    const say = (): bigint | null => {
      if (answer.kind === 'error') throw new Error('The consumer does not know');
      return answer.kind === 'offset' ? offset : null;
    };
    return answer.delayMs === 0 ? new Promise((resolve) => resolve(say())) : time.wait(answer.delayMs).then(say);
  }

  #offsetAt(place: number): bigint {
    const { firstOffset, durableOffset } = this.#options.log.status();
    return firstOffset + BigInt(Math.round(Number(durableOffset - firstOffset) * place));
  }

  /** A claim comes too late for a segment whose removal has begun, which is the oldest. */
  #lateBelow(): bigint {
    const { log, segments, isRemoving } = this.#options;
    const { firstOffset } = log.status();
    return isRemoving() ? (segments().find((base) => base > firstOffset) ?? 0n) : 0n;
  }

  /** Entries from an offset on in segments that are gone, which are those below `firstOffset`. */
  #removedEntries(offset: bigint, firstOffset: bigint): bigint {
    let entries = 0n;
    for (const [base, end] of this.#removed) {
      if (base < firstOffset) entries += max(end - max(base, offset), 0n);
    }
    return entries;
  }
}

function nameOf(holder: number): string {
  return `consumer ${holder}`;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
