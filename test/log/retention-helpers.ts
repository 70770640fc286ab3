import type { Clock } from '../../src/base/index.ts';
import type { DurablePosition, Log, LogEntry } from '../../src/log/index.ts';
import { ENTRY_KINDS } from '../../src/log/index.ts';
import { applyMessages, decodeSegments, record, stateText, update } from './log-helpers.ts';

/** One frame a segment, one entry a frame; nothing happens at intervals. */
export const ONE_ENTRY_A_SEGMENT = {
  segmentBytesMax: 1,
  frameEntriesMax: 1,
  frameBytesMax: 1,
  diskReserveBytes: 0,
  retentionIntervalMs: 1e9,
};

export const DAY_MS = 86_400_000;

/** A clock that goes only when told. */
export function handClock(): Clock & { pass(ms: number): void; jump(ms: number): void } {
  let wall = 1_700_000_000_000_000_000n;
  let monotonicMs = 1_000;
  const jump = (ms: number): void => {
    wall += BigInt(ms) * 1_000_000n;
  };
  return {
    nowUnixNano: () => wall,
    monotonicMs: () => monotonicMs,
    jump,
    pass(ms) {
      monotonicMs += ms;
      jump(ms);
    },
  };
}

export async function appendText(log: Log, text: string): Promise<bigint> {
  return (await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from(`|${text}`)] })).offset;
}

export async function appendTexts(log: Log, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await appendText(log, `text ${i}`);
}

export function durableOf({ durableOffset, segment, segmentBytes }: DurablePosition): DurablePosition {
  return { durableOffset, segment, segmentBytes };
}

/** Sends batches of two streams, whose state grows; what each must decode to, by offset. */
export async function sendStreams(log: Log, batches: number): Promise<Map<bigint, string>> {
  const expected = new Map<bigint, string>();
  const streams = [1, 2].map((signal) => ({ stream: log.openStream(signal), state: new Map<string, string[]>() }));
  for (let i = 0; i < batches; i++) {
    for (const { stream, state } of streams) {
      const updates = i === 0 ? ['S0', 'D1=a'] : [`d1=${i}`];
      applyMessages(state, updates);
      const body = `${stream.id}/${i}`;
      const { offset } = await stream.append({
        batchId: BigInt(i),
        record: record(updates, body),
        stateUpdates: updates.map(update),
      });
      expected.set(offset, `${body} ${stateText(state)}`);
    }
  }
  return expected;
}

/** What entries decode to, each segment alone, by offset. */
export function decodedTexts(entries: readonly LogEntry[]): Map<bigint, string> {
  const batches = decodeSegments(entries.filter(({ kind }) => kind !== ENTRY_KINDS.OTLP));
  return new Map(batches.map(({ offset, body, state }) => [offset, `${body} ${state}`]));
}

export function from<T>(first: bigint, expected: ReadonlyMap<bigint, T>): Map<bigint, T> {
  return new Map([...expected].filter(([offset]) => offset >= first));
}
