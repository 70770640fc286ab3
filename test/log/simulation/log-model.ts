/** What was asked of a log and what it answered, and the checks of all that it shows against it. */
import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { ENTRY_FLAGS, ENTRY_KINDS, type LogEntry, type LogStatus } from '../../../src/log/index.ts';
import { decodeBySegment, toyRecordId } from './toy-records.ts';

/** One append. */
export interface Attempt {
  readonly id: number;
  readonly streamId: bigint;
  readonly kind: number;
  readonly signal: number;
  readonly batchId: bigint;
  readonly flags: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly record: Buffer;
  readonly receivedAtUnixNano: bigint;
  /** What a decoder knows when it has read the record; empty for OTLP. */
  readonly state: string;
  outcome: 'pending' | 'acked' | 'refused';
  offset: bigint | null;
  /** Place in the order of answers. */
  answeredAt: number;
  /** Whether a check has found it. */
  isShown: boolean;
}

/** Entries that one reader has returned, and up to where it said that there are no others. */
export interface ReaderView {
  readonly from: bigint;
  readonly seen: Map<bigint, string>;
  readTo: bigint;
}

export class LogModel {
  readonly attempts: Attempt[] = [];
  /** Entries below were deleted by schedule. */
  deletedBelow = 0n;
  /** Whether something was done to the log's files that it must report as damage or loss. */
  expectsFindings = false;
  #answers = 0;
  #lastAckAt = -1;
  #durableEnd = 0n;
  /** Everything that readers saw, or a check: it is there for ever, byte for byte. */
  readonly #shown = new Map<bigint, string>();
  /** Up to where no entry may appear that is not among `#shown`. */
  #shownEnd = 0n;
  #views: ReaderView[] = [];

  get acked(): number {
    return this.attempts.filter(({ outcome }) => outcome === 'acked').length;
  }

  attempt(facts: Omit<Attempt, 'id' | 'outcome' | 'offset' | 'answeredAt' | 'isShown'>): Attempt {
    const fresh = { outcome: 'pending' as const, offset: null, answeredAt: -1, isShown: false };
    const attempt: Attempt = { ...facts, ...fresh, id: this.attempts.length };
    this.attempts.push(attempt);
    return attempt;
  }

  ack(attempt: Attempt, offset: bigint, durableOffset: bigint): void {
    assert.ok(offset < durableOffset, `offset ${offset} was acknowledged before it was durable`);
    assert.ok(!this.attempts.some((other) => other.offset === offset), `offset ${offset} was acknowledged twice`);
    Object.assign(attempt, { outcome: 'acked', offset });
    attempt.answeredAt = this.#answers++;
    this.#lastAckAt = attempt.answeredAt;
  }

  refuse(attempt: Attempt): void {
    attempt.outcome = 'refused';
    attempt.answeredAt = this.#answers++;
  }

  /** A durable end that others were told. */
  announce(durableOffset: bigint): void {
    assert.ok(durableOffset >= this.#durableEnd, `durable end went from ${this.#durableEnd} back to ${durableOffset}`);
    this.#durableEnd = durableOffset;
  }

  /** A reader whose view is compared at the next check. */
  watch(from: bigint): ReaderView {
    const view: ReaderView = { from, seen: new Map(), readTo: from };
    this.#views.push(view);
    return view;
  }

  see(view: ReaderView, entry: LogEntry, announced: bigint): void {
    assert.ok(entry.offset < announced, `a reader saw offset ${entry.offset}, the durable end was ${announced}`);
    assert.ok(!view.seen.has(entry.offset), `a reader saw offset ${entry.offset} twice`);
    const text = fingerprint(entry);
    view.seen.set(entry.offset, text);
    const before = this.#shown.get(entry.offset);
    assert.ok(
      before === undefined || before === text || this.expectsFindings,
      `offset ${entry.offset} was\n${before}, a reader saw\n${text}`,
    );
    this.#shown.set(entry.offset, text);
  }

  /** Entries below are gone, by intent: they are checked no more. */
  forgetBelow(offset: bigint): void {
    this.deletedBelow = offset;
  }

  /** An entry that was acknowledged or seen, from `from` on and below `end`, if there is one. */
  findEntry(from: bigint, end: bigint | null): bigint | null {
    const isBetween = (offset: bigint) => offset >= from && (end === null || offset < end);
    const acked = this.attempts.find(({ outcome, offset }) => outcome === 'acked' && isBetween(offset!));
    return acked?.offset ?? [...this.#shown.keys()].find(isBetween) ?? null;
  }

  /** Checks everything that can be read of a log just opened, or at its end. */
  check(entries: readonly LogEntry[], status: LogStatus): void {
    // An index that claimed too much may have been lost since, and its claims with it.
    const last = entries.at(-1)?.offset ?? -1n;
    const durableEnd = this.expectsFindings ? max(this.#durableEnd, last + 1n) : status.durableOffset;
    this.announce(durableEnd);
    assert.ok(status.nextOffset >= status.durableOffset, 'next offset is below the durable end');
    checkContiguous(entries, status);
    this.#checkHistory(entries, this.expectsFindings ? last + 1n : status.durableOffset);
    this.#checkAttempts(entries);
    if (!this.expectsFindings) checkStreams(entries);
    this.#checkViews(entries);
  }

  #checkHistory(entries: readonly LogEntry[], durableOffset: bigint): void {
    // With an index that claimed too much, a torn write may have counted as damage until that index was gone.
    if (this.expectsFindings) return;
    const found = new Map(entries.map((entry) => [entry.offset, fingerprint(entry)]));
    for (const [offset, text] of this.#shown) {
      if (offset >= this.deletedBelow) assert.equal(found.get(offset), text, `offset ${offset} was there before`);
    }
    for (const [offset, text] of found) {
      const isNew = offset >= this.#shownEnd || this.#shown.has(offset);
      assert.ok(isNew, `offset ${offset} was never shown below ${this.#shownEnd}, now it holds ${text}`);
      this.#shown.set(offset, text);
    }
    this.#shownEnd = durableOffset;
  }

  #checkAttempts(entries: readonly LogEntry[]): void {
    const decoded = decodeBySegment(entries);
    const offsets = new Map<number, bigint>();
    for (const entry of entries) {
      if (entry.kind !== ENTRY_KINDS.BAR && entry.kind !== ENTRY_KINDS.OTLP) continue;
      const id = toyRecordId(entry.record);
      const attempt = this.attempts[id];
      assert.ok(attempt !== undefined, `offset ${entry.offset} holds a record that nobody sent`);
      assert.ok(!offsets.has(id), `record ${id} is at offsets ${offsets.get(id)} and ${entry.offset}`);
      offsets.set(id, entry.offset);
      this.#checkEntry(entry, attempt);
      if (!this.expectsFindings || attempt.outcome === 'acked') {
        assert.equal(decoded.get(entry.offset) ?? '', attempt.state, `state of record ${id} at offset ${entry.offset}`);
      }
    }
    for (const { id, outcome, offset } of this.attempts) {
      if (outcome !== 'acked' || offset! < this.deletedBelow) continue;
      assert.equal(offsets.get(id), offset, `record ${id} was acknowledged at offset ${offset}`);
    }
  }

  #checkEntry(entry: LogEntry, attempt: Attempt): void {
    const { id, outcome, answeredAt, streamId, kind, signal, batchId, flags, headers, receivedAtUnixNano } = attempt;
    const isLate = !attempt.isShown && outcome === 'refused' && answeredAt < this.#lastAckAt;
    attempt.isShown = true;
    assert.ok(!isLate, `record ${id} was refused before others were acknowledged, and is at offset ${entry.offset}`);
    assert.ok(attempt.record.equals(entry.record), `record ${id} is not as it was sent`);
    assert.deepEqual([...entry.headers], [...headers], `headers of record ${id}`);
    const facts = [entry.streamId, entry.kind, entry.signal, entry.batchId, entry.receivedAtUnixNano];
    assert.deepEqual(facts, [streamId, kind, signal, batchId, receivedAtUnixNano], `facts of record ${id}`);
    const ignored = this.expectsFindings && outcome !== 'acked' ? ENTRY_FLAGS.UNDECODABLE : 0;
    assert.equal(entry.flags & ~ignored, flags, `flags of record ${id}`);
  }

  /** Readers saw all entries from their start to their end, in order. */
  #checkViews(entries: readonly LogEntry[]): void {
    for (const { from, seen, readTo } of this.#views) {
      const first = [...seen.keys()][0] ?? from;
      assert.ok(
        first >= this.deletedBelow
          ? first <= from || !entries.some(({ offset }) => offset >= from && offset < first)
          : true,
        `a reader from ${from} began at ${first}`,
      );
      const expected = entries.filter(({ offset }) => offset >= first && offset < readTo).map(({ offset }) => offset);
      const found = [...seen.keys()].filter((offset) => offset >= this.deletedBelow);
      assert.deepEqual(found, expected, `a reader from ${from} to ${readTo}`);
    }
    this.#views = [];
  }
}

/** Offsets and gaps are all there is from the first offset to the durable end, and do not overlap. */
function checkContiguous(entries: readonly LogEntry[], status: LogStatus): void {
  const ranges = [
    ...entries.map(({ offset }) => ({ from: offset, to: offset + 1n })),
    // A gap may reach over the end of what was deleted.
    ...status.gaps
      .filter(({ to }) => to > status.firstOffset)
      .map(({ from, to }) => ({ from: max(from, status.firstOffset), to })),
  ].sort((a, b) => Number(a.from - b.from));
  let end = status.firstOffset;
  for (const { from, to } of ranges) {
    assert.equal(from, end, `entries or gaps from ${end} to ${from}, durable end is ${status.durableOffset}`);
    end = to;
  }
  assert.equal(end, status.durableOffset, 'end of entries and gaps');
}

/** A stream's entries are numbered without a gap; it begins with STREAM_OPEN and ends with STREAM_CLOSE, if it ends. */
function checkStreams(entries: readonly LogEntry[]): void {
  const last = new Map<bigint, LogEntry>();
  const firstOffset = entries[0]?.offset ?? 0n;
  for (const entry of entries) {
    const { offset, streamId, streamSeq, kind } = entry;
    if (streamId === 0n) continue;
    const before = last.get(streamId);
    last.set(streamId, entry);
    if (before === undefined) {
      const isStart = streamSeq === 0 && kind === ENTRY_KINDS.STREAM_OPEN;
      assert.ok(isStart || firstOffset > 0n, `stream ${streamId} begins with kind ${kind} at offset ${offset}`);
      continue;
    }
    assert.equal(streamSeq, before.streamSeq + 1, `sequence of stream ${streamId} at offset ${offset}`);
    assert.notEqual(kind, ENTRY_KINDS.STREAM_OPEN, `stream ${streamId} is opened twice`);
    assert.notEqual(before.kind, ENTRY_KINDS.STREAM_CLOSE, `stream ${streamId} goes on after its end`);
  }
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** Everything that is durable of an entry, as text. */
function fingerprint(entry: LogEntry): string {
  const { offset, receivedAtUnixNano, streamId, streamSeq, batchId, signal, kind, flags, headers, record, segment } =
    entry;
  const durableFlags = flags & ~ENTRY_FLAGS.UNDECODABLE;
  const facts = [offset, receivedAtUnixNano, streamId, streamSeq, batchId, signal, kind, durableFlags, segment];
  return `${facts.join(' ')} ${JSON.stringify([...headers])} ${record.length} ${crc32(record)}`;
}
