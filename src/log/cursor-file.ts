/** The file of one cursor: JSON with its check sum, replaced whole. What is not as it was written is found out and told. */
import { readFile, stat } from 'node:fs/promises';
import { LIMITS, replaceFile } from '../base/index.ts';
import { crcOf } from './frame.ts';
import type { HoldPolicy } from './types.ts';

/** What is kept of a cursor. */
export interface CursorRecord {
  readonly name: string;
  readonly offset: bigint;
  readonly policy: HoldPolicy;
  readonly paused: boolean;
  readonly createdAtUnixMs: number;
  readonly updatedAtUnixMs: number;
}

/** A cursor as read, or why its file cannot be one of this log. */
export type ReadCursor = { readonly record: CursorRecord } | { readonly fault: string };

/** Whether a text may name a cursor, and with it a file. */
export function isCursorName(name: string): boolean {
  return /^[a-z0-9][a-z0-9_-]{0,62}$/.test(name);
}

/** Puts a cursor's file in the place of the one before. Rejects with what the system says. */
export function writeCursorFile(path: string, record: CursorRecord, logUuid: string): Promise<void> {
  return replaceFile(path, cursorText(record, logUuid));
}

/** Reads the file of the cursor `name`. Never rejects: what the system says is a fault too. */
export async function readCursorFile(path: string, name: string, logUuid: string): Promise<ReadCursor> {
  let text: string;
  try {
    const { size, isFile } = await factsOf(path);
    // Opening a pipe waits for its other end.
    if (!isFile) return { fault: 'it is no file' };
    if (size > LIMITS.cursorFileBytesMax) return { fault: 'it is too large' };
    text = await readFile(path, 'utf8');
  } catch (error) {
    return { fault: `it cannot be read: ${(error as Error).message}` };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { fault: text === '' ? 'it is empty' : 'it is no JSON' };
  }
  return readRecord(value, name, logUuid);
}

async function factsOf(path: string): Promise<{ readonly size: number; readonly isFile: boolean }> {
  const facts = await stat(path);
  return { size: facts.size, isFile: facts.isFile() };
}

const FORMAT = 1;
const POLICIES: readonly HoldPolicy[] = ['drop', 'hold'];

function cursorText(record: CursorRecord, logUuid: string): string {
  const fields = { format: FORMAT, log: logUuid, ...record, offset: String(record.offset) };
  return `${JSON.stringify({ ...fields, crc32: checkSum(fields) })}\n`;
}

function checkSum(fields: object): number {
  return crcOf([Buffer.from(JSON.stringify(fields))]);
}

function readRecord(value: unknown, name: string, logUuid: string): ReadCursor {
  if (typeof value !== 'object' || value === null) return { fault: 'it is no object' };
  const { crc32, ...fields } = value as Readonly<Record<string, unknown>>;
  if (fields['format'] !== FORMAT) return { fault: `its format is not ${FORMAT}` };
  if (crc32 !== checkSum(fields)) return { fault: 'its check sum is wrong' };
  if (fields['log'] !== logUuid) return { fault: 'it is a position in another log' };
  if (fields['name'] !== name) return { fault: 'it has the name of another cursor in it' };
  const { offset, policy, paused, createdAtUnixMs, updatedAtUnixMs } = fields as Record<string, unknown>;
  const isWhole =
    typeof offset === 'string' &&
    /^\d{1,20}$/.test(offset) &&
    POLICIES.some((each) => each === policy) &&
    typeof paused === 'boolean' &&
    typeof createdAtUnixMs === 'number' &&
    typeof updatedAtUnixMs === 'number';
  if (!isWhole) return { fault: 'a field is missing' };
  const record = {
    name,
    offset: BigInt(offset),
    policy: policy as HoldPolicy,
    paused,
    createdAtUnixMs,
    updatedAtUnixMs,
  };
  return { record };
}
