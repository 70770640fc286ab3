/** Log entries that tell by themselves what they must be: a number, and the place in their stream. */
import type { LogEntry } from '../../src/log/index.ts';
import { ENTRY_KINDS } from '../../src/log/index.ts';
import { applyMessages, decodeSegments, stateText } from '../log/log-helpers.ts';

/** An entry as it was sent; `place` counts in its stream from 0, and is null for an OTLP entry. */
export interface NumberedEntry {
  readonly number: number;
  readonly place: number | null;
}

/** Of an entry in 16: larger than a frame takes, so that it is a frame alone. */
const LARGE_BYTES = 40_000;
const SMALL_BYTES_MAX = 4_000;

/** The body of an entry: its number, its place, and a filling that no other entry has. */
export function numberedBody({ number, place }: NumberedEntry): string {
  const mixed = Math.imul(number + 1, 0x9e3779b1) >>> 0;
  const bytes = mixed % 16 === 0 ? LARGE_BYTES : (mixed >>> 4) % SMALL_BYTES_MAX;
  return `${number}.${place ?? 'otlp'}:${`[${number}]`.repeat(Math.ceil(bytes / 6))}`;
}

/** State changes that come with the batch at a place of a stream. */
export function numberedUpdates(place: number): string[] {
  return place === 0 ? ['S0', 'D1=x'] : [`d1=${place}`];
}

/** An entry that was read, taken apart: what it says of itself, and what a decoder knew and saw. */
export interface FoundEntry extends NumberedEntry {
  readonly body: string;
  readonly state: string;
  readonly streamId: bigint;
}

/** The BAR and OTLP entries of a log by their offsets, each BAR decoded from its own segment alone. */
export function foundEntries(entries: readonly LogEntry[]): Map<bigint, FoundEntry> {
  const streams = new Map(entries.map(({ offset, streamId }) => [offset, streamId]));
  const bodies = [
    ...decodeSegments(entries),
    ...entries
      .filter(({ kind }) => kind === ENTRY_KINDS.OTLP)
      .map(({ offset, record }) => ({ offset, state: '', body: Buffer.from(record).toString('latin1').slice(1) })),
  ];
  return new Map(
    bodies.map(({ offset, state, body }) => {
      const match = /^(\d+)\.(\d+|otlp):/.exec(body);
      const place = match === null || match[2] === 'otlp' ? null : Number(match[2]);
      return [offset, { number: Number(match?.[1]), place, body, state, streamId: streams.get(offset)! }];
    }),
  );
}

/** What a decoder has to know after the batch at a place. */
export function numberedState(place: number | null): string {
  const state = new Map<string, string[]>();
  for (let i = 0; place !== null && i <= place; i++) applyMessages(state, numberedUpdates(i));
  return stateText(state);
}
