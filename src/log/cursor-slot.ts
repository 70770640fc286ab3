/** One open cursor: where it is, what of that is on the disk, and its hold. */
import { type Clock, errorMessage, LIMITS, OffsetOutOfRangeError, TreasuryError } from '../base/index.ts';
import type { CursorRecord } from './cursor-file.ts';
import type { CursorWriter } from './cursor-writer.ts';
import type { Cursor } from './cursors.ts';
import type { HoldPolicy, LogHold, RetainedLog } from './types.ts';

export interface CursorSlot {
  readonly cursor: Cursor;
  /** Moves anywhere, without waiting for the disk. */
  move(offset: bigint): void;
  /** Has it written though nothing changed. */
  touch(): void;
  /** Releases its hold. It is not written again. */
  end(): void;
}

interface SlotParts {
  readonly log: Pick<RetainedLog, 'hold' | 'status'>;
  readonly writer: CursorWriter;
  readonly clock: Clock;
}

interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
  readonly reject: (error: TreasuryError) => void;
}

/** Opens a cursor where its record says, which counts as written. */
export function createCursorSlot(initial: CursorRecord, { log, writer, clock }: SlotParts): CursorSlot {
  const { name } = initial;
  let record = initial;
  let hold = take(initial.policy);
  let revision = 0;
  let written = 0;
  let writtenOffset = initial.offset;
  let failing: string | null = null;
  let waiters: Waiter[] = [];
  let timer: NodeJS.Timeout | null = null;
  let isQueued = false;
  let isEnded = false;

  function take(policy: HoldPolicy): LogHold {
    return log.hold(`cursor/${name}`, {
      offset: initial.offset,
      policy,
      ask: () => flush().then(() => record.offset),
    });
  }

  /** What is claimed is what a crash would go back to. A disk that takes no cursor must not keep retention from making room on it. */
  function claim(): void {
    const isBehind = failing === null && writtenOffset < record.offset;
    hold.advance(isBehind ? writtenOffset : record.offset);
  }

  function change(fields: Partial<CursorRecord>): void {
    if (isEnded) return;
    record = { ...record, ...fields, updatedAtUnixMs: Number(clock.nowUnixNano() / 1_000_000n) };
    revision++;
    claim();
    writeAfter(LIMITS.cursorWriteIntervalMs);
  }

  function writeAfter(delayMs: number): void {
    if (isQueued || isEnded || (timer !== null && delayMs > 0)) return;
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (delayMs === 0) void write();
    else timer = setTimeout(() => void write(), delayMs).unref();
  }

  async function write(): Promise<void> {
    timer = null;
    isQueued = true;
    let taken = written;
    try {
      await writer.run(async () => {
        isQueued = false;
        taken = revision;
        const taking = record;
        if (!isEnded) await writer.write(taking);
        writtenOffset = taking.offset;
      });
      if (failing !== null) writer.tell(name, null);
      failing = null;
      written = taken;
    } catch (error) {
      if (failing === null) writer.tell(name, errorMessage(error));
      failing = errorMessage(error);
    }
    settle(taken);
    if (isEnded) return;
    claim();
    if (failing !== null) writeAfter(LIMITS.cursorRetryMs);
    else if (revision > written) writeAfter(waiters.length > 0 ? 0 : LIMITS.cursorWriteIntervalMs);
  }

  function settle(taken: number): void {
    const done = waiters.filter((waiter) => waiter.revision <= taken);
    waiters = waiters.filter((waiter) => waiter.revision > taken);
    for (const { resolve, reject } of done) {
      if (failing === null) resolve();
      else reject(unwritable(name, failing));
    }
  }

  function flush(): Promise<void> {
    if (written === revision || isEnded) return Promise.resolve();
    return new Promise((resolve, reject) => {
      waiters.push({ revision, resolve, reject });
      writeAfter(0);
    });
  }

  const cursor: Cursor = {
    get status() {
      const { createdAtUnixMs, updatedAtUnixMs, offset, policy, paused } = record;
      return { name, offset, policy, paused, pending: revision > written, failing, createdAtUnixMs, updatedAtUnixMs };
    },
    advance(offset) {
      if (offset > record.offset) change({ offset });
    },
    async seek(offset) {
      refuseOffset(offset, log);
      change({ offset });
      await flush();
    },
    async setPaused(paused) {
      if (paused !== record.paused) change({ paused });
      await flush();
    },
    async setPolicy(policy) {
      if (policy !== record.policy) {
        hold = take(policy);
        change({ policy });
      }
      await flush();
    },
    flush,
  };
  return {
    cursor,
    move: (offset) => change({ offset }),
    touch: () => change({}),
    end() {
      isEnded = true;
      if (timer !== null) clearTimeout(timer);
      hold.release();
      for (const { resolve } of waiters.splice(0)) resolve();
    },
  };
}

/** Throws OffsetOutOfRangeError: what is not durable yet may become other entries after a crash. */
export function refuseOffset(offset: bigint, log: Pick<RetainedLog, 'status'>): void {
  const { firstOffset, durableOffset } = log.status();
  if (offset < firstOffset || offset > durableOffset) {
    throw new OffsetOutOfRangeError(offset, firstOffset, durableOffset);
  }
}

function unwritable(name: string, reason: string): TreasuryError {
  return new TreasuryError('TREASURY_CURSOR_UNWRITABLE', `Cannot write cursor ${name}: ${reason}`, {
    retryable: true,
    facts: { cursor: name },
  });
}
