/**
 * What the simulated senders send: records that begin with their state changes as text (`<a:S1><a:D0=x><b:d1=y>`), then `|`, a number that
 * names the record and bytes of any kind. A decoder can tell what state a record was decoded with.
 */
import { ENTRY_KINDS, type LogEntry, type StateUpdate } from '../../../src/log/index.ts';
import { FRAME_PREFIX } from '../../../src/log/frame.ts';
import { END_OF_STREAM } from '../../../src/log/layout.ts';
import type { Random } from '../../helpers/random.ts';

/** Schema and dictionaries of a stream, by pair of payload type and schema id. */
export type ToyState = Map<string, Map<string, string[]>>;

const PAYLOAD_TYPES: Readonly<Record<string, number>> = { a: 30, b: 40 };

/** A state change as text: pair, kind (`S` schema, `D` dictionary, `d` delta), number, content. */
export function randomUpdate(random: Random): string {
  const pair = random.pick(['a', 'a', 'b']);
  const content = 'xyz'[random.below(3)]!.repeat(random.pick([1, 1, 1, 5, 60, 700]));
  return `${pair}:${random.pick(['S', 'D', 'd', 'd', 'd'])}${random.below(2)}=${content}`;
}

export function toUpdate(text: string): StateUpdate {
  const kind = text[2] === 'S' ? 'schema' : text[2] === 'D' ? 'dictionary' : 'delta';
  return {
    payloadType: PAYLOAD_TYPES[text[0]!]!,
    schemaId: text[0]!,
    kind,
    dictionaryId: kind === 'schema' ? 0n : BigInt(text[3]!),
    bytes: Buffer.from(`<${text}>`),
  };
}

/** A record of about that many bytes. `looksLikeLog` fills it with what marks frames and ends of segments. */
export function toyRecord(updates: readonly string[], id: number, bytes: number, looksLikeLog: boolean): Buffer {
  const head = Buffer.from(`${updates.map((text) => `<${text}>`).join('')}|${id}|`);
  const fill = looksLikeLog ? Buffer.concat([FRAME_PREFIX, END_OF_STREAM]) : Buffer.from(`${id} `);
  return Buffer.concat([head, Buffer.alloc(Math.max(0, bytes - head.length), fill)]);
}

/** The number that names a record. */
export function toyRecordId(record: Uint8Array): number {
  return Number(textOf(record).split('|')[1]);
}

/** Takes state changes in, as a decoder does. */
export function applyUpdates(state: ToyState, updates: readonly string[]): void {
  for (const text of updates) {
    const pair = text[0]!;
    const known = state.get(pair) ?? new Map<string, string[]>();
    state.set(pair, known);
    if (text[2] === 'S') {
      known.clear();
      known.set('schema', [text]);
      continue;
    }
    const dictionary = text[3]!;
    const messages = known.get(dictionary);
    if (text[2] === 'd' && messages !== undefined) messages.push(text);
    else known.set(dictionary, [text]);
  }
}

/** State as text, whatever order it came in. */
export function toyStateText(state: ToyState): string {
  return [...state]
    .flatMap(([pair, known]) => [...known].map(([key, messages]) => `${pair}/${key}: ${messages.join(' ')}`))
    .sort()
    .join('; ');
}

/** What each BAR decodes with, from the entries of its own segment alone. */
export function decodeBySegment(entries: readonly LogEntry[]): Map<bigint, string> {
  const states = new Map<string, ToyState>();
  const decoded = new Map<bigint, string>();
  for (const { segment, streamId, kind, record, offset } of entries) {
    if (kind !== ENTRY_KINDS.BAR && kind !== ENTRY_KINDS.STATE) continue;
    const key = `${segment}/${streamId}`;
    const state = states.get(key) ?? new Map<string, Map<string, string[]>>();
    states.set(key, state);
    if (kind === ENTRY_KINDS.STATE) state.clear();
    applyUpdates(state, updatesOf(record));
    if (kind === ENTRY_KINDS.BAR) decoded.set(offset, toyStateText(state));
  }
  return decoded;
}

/** The changes in a record, or in a STATE record, which is those of the stream between tags of protobuf. */
function updatesOf(record: Uint8Array): string[] {
  const head = textOf(record).split('|')[0]!;
  return [...head.matchAll(/<([ab]:[SDd][^<>]*)>/g)].map((match) => match[1]!);
}

function textOf(record: Uint8Array): string {
  return Buffer.from(record).toString('latin1');
}
