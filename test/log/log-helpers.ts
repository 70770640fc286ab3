import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Log, LogEntry, LogStream, StateUpdate } from '../../src/log/index.ts';
import { ENTRY_FLAGS, ENTRY_KINDS, openLogReader } from '../../src/log/index.ts';
import type { LogFileSystem } from '../../src/log/index.ts';

/** Small enough that a few entries make several frames and segments. */
export const SMALL_LIMITS = { frameEntriesMax: 4, frameBytesMax: 400, segmentBytesMax: 12_000 };

export function scratch(t: TestContext): string {
  const directory = makeScratch();
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function makeScratch(): string {
  return mkdtempSync(join(tmpdir(), 'treasury-log-'));
}

/** A sender whose records list their state changes as text, so that a test can decode them: `S0`, `D1=x`, `d1=y`. */
export interface ToyStream {
  readonly stream: LogStream;
  /** What a decoder has to know before the next record. */
  readonly known: string[];
}

export function update(text: string): StateUpdate {
  const kind = text[0] === 'S' ? 'schema' : text[0] === 'D' ? 'dictionary' : 'delta';
  return {
    payloadType: 30,
    schemaId: 'a',
    kind,
    dictionaryId: kind === 'schema' ? 0n : BigInt(text[1]!),
    bytes: Buffer.from(`<${text}>`),
  };
}

/** The record of updates and a body, in the form in which STATE entries concatenate updates. */
export function record(updates: readonly string[], body: string): Uint8Array[] {
  return [Buffer.from(updates.map((text) => `<${text}>`).join('')), Buffer.from(`|${body}`)];
}

/** The state messages in a record or STATE record, in order. */
export function messagesOf(bytes: Uint8Array): string[] {
  return [
    ...Buffer.from(bytes)
      .toString('latin1')
      .matchAll(/<([^>]*)>/g),
  ].map((match) => match[1]!);
}

/** What a decoder knows after messages: the schema, and each dictionary with its deltas. */
export function applyMessages(state: Map<string, string[]>, messages: readonly string[]): void {
  for (const text of messages) {
    if (text.startsWith('S')) {
      state.clear();
      state.set('schema', [text]);
    } else if (text.startsWith('D') || !state.has(text[1]!)) {
      state.set(text[1]!, [text]);
    } else {
      state.get(text[1]!)!.push(text);
    }
  }
}

/** State as text, independent of the order of dictionaries. */
export function stateText(state: ReadonlyMap<string, readonly string[]>): string {
  return [...state]
    .map(([key, messages]) => `${key}:${messages.join(',')}`)
    .sort()
    .join(' ');
}

/** Decodes BARs from one segment's entries alone: their offset, the state before each and the body. */
export function decodeSegments(
  entries: readonly LogEntry[],
): { offset: bigint; state: string; body: string; flags: number }[] {
  const states = new Map<string, Map<string, string[]>>();
  const decoded: { offset: bigint; state: string; body: string; flags: number }[] = [];
  for (const entry of entries) {
    const key = `${entry.segment}/${entry.streamId}`;
    if (!states.has(key)) states.set(key, new Map());
    const state = states.get(key)!;
    if (entry.kind === ENTRY_KINDS.STATE) state.clear();
    if (entry.kind !== ENTRY_KINDS.BAR && entry.kind !== ENTRY_KINDS.STATE) continue;
    applyMessages(state, messagesOf(entry.record));
    if (entry.kind === ENTRY_KINDS.STATE) continue;
    const body = Buffer.from(entry.record).toString('latin1').split('|').slice(1).join('|');
    decoded.push({ offset: entry.offset, state: stateText(state), body, flags: entry.flags & ENTRY_FLAGS.UNDECODABLE });
  }
  return decoded;
}

export function readAll(log: Log, directory: string, fileSystem?: LogFileSystem): LogEntry[] {
  const { durableOffset, segment, segmentBytes, firstOffset } = log.status();
  const durable = { durableOffset, segment, segmentBytes };
  return drain(openLogReader({ directory, from: firstOffset, durable, ...(fileSystem && { fileSystem }) }));
}

export function drain(reader: ReturnType<typeof openLogReader>): LogEntry[] {
  const entries: LogEntry[] = [];
  for (let frame = reader.nextFrame(); frame !== null; frame = reader.nextFrame()) entries.push(...frame);
  reader.close();
  return entries;
}
