/**
 * The process whose disk loses power: appends numbered entries of several streams, and OTLP entries, until it is ended, to a log that
 * rotates and deletes often. Prints `acked OFFSET NUMBER PLACE` for each entry, and `first OFFSET` when entries were deleted. Stepped, it
 * sends one entry after the other, and stops before every change of the disk: prints `at WHAT` and waits for a line.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { acquireDataDirectoryLock, type Log, type LogFile, type LogFileSystem, openLog } from '../../src/log/index.ts';
import { realFileSystem } from '../../src/log/file-system.ts';
import { record, update } from '../log/log-helpers.ts';
import { type NumberedEntry, numberedBody, numberedUpdates } from './numbered-entries.ts';

export interface CutWriterOptions {
  readonly data: string;
  readonly isStepped: boolean;
  /** Off: no sync reaches the disk. */
  readonly isSynced: boolean;
  readonly segmentBytesMax: number;
  readonly keptBytesMax: number | null;
}

const STREAMS = 4;
const OTLP_SENDERS = 2;
/** Batches of a stream: its state grows with each, and every segment repeats it. */
const STREAM_BATCHES = 60;
const SEAL_BYTES = 8;
/** A disk that stands still while it is cut and looked at is none that takes nothing. */
const APPEND_WAIT_MAX_MS = 10 * 60_000;

const options = JSON.parse(process.argv[2]!) as CutWriterOptions;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let next = 0;
let firstOffset = 0n;

async function step(what: string): Promise<void> {
  if (!options.isStepped) return;
  writeSync(1, `at ${what}\n`);
  await lines.next();
}

function nameOf(path: string): string {
  return path.endsWith('.arrows') ? 'segment' : path.split('/').at(-1)!;
}

function steppedFile(path: string, file: LogFile): LogFile {
  const name = nameOf(path);
  let written = name;
  return {
    async write(parts, position) {
      const bytes = parts.reduce((sum, part) => sum + part.length, 0);
      const what = position === 0 ? 'header' : bytes === SEAL_BYTES ? 'seal' : 'frame';
      written = name === 'segment' ? what : name;
      await step(`write of a ${written}`);
      return file.write(parts, position);
    },
    async dataSync() {
      await step(`sync of a ${written}`);
      if (options.isSynced) await file.dataSync();
    },
    async truncate(bytes) {
      await step(`truncation of a ${name}`);
      await file.truncate(bytes);
    },
    close: () => file.close(),
  };
}

const fileSystem: LogFileSystem = {
  ...realFileSystem,
  async create(path) {
    await step(`creation of a ${nameOf(path)}`);
    const file = await realFileSystem.create(path);
    if (options.isSynced && !options.isStepped) return file;
    // A file that was there before is not synced by its writes: a step stands between, or nothing syncs them.
    await file.close();
    return steppedFile(path, await realFileSystem.openForWriting(path));
  },
  async openForWriting(path) {
    return steppedFile(path, await realFileSystem.openForWriting(path));
  },
  async remove(path) {
    await step(`removal of a ${nameOf(path)}`);
    await realFileSystem.remove(path);
  },
  async rename(from, to) {
    await step(`renaming to ${nameOf(to)}`);
    await realFileSystem.rename(from, to);
  },
  async syncDirectory(path) {
    await step(`sync of the folder ${nameOf(path)}`);
    if (options.isSynced) await realFileSystem.syncDirectory(path);
  },
};

function tell(log: Log, offset: bigint, { number, place }: NumberedEntry): void {
  const status = log.status();
  if (status.firstOffset > firstOffset) {
    firstOffset = status.firstOffset;
    writeSync(1, `first ${firstOffset}\n`);
  }
  writeSync(1, `acked ${offset} ${number} ${place ?? 'otlp'}\n`);
}

async function sendOtlp(log: Log): Promise<void> {
  const entry = { number: next++, place: null };
  const { offset } = await log.appendOtlp(2, {
    batchId: 0n,
    record: [Buffer.from(`|${numberedBody(entry)}`)],
    headers: new Map([['content-type', 'application/x-protobuf']]),
  });
  tell(log, offset, entry);
}

/** Each call sends one batch; a new stream begins when one has sent enough. */
function openSender(log: Log): () => Promise<void> {
  let stream = log.openStream(1);
  let sent = 0;
  return async () => {
    if (sent === STREAM_BATCHES) {
      stream.close();
      stream = log.openStream(1);
      sent = 0;
    }
    const entry = { number: next++, place: sent++ };
    const updates = numberedUpdates(entry.place);
    const { offset } = await stream.append({
      batchId: BigInt(entry.place),
      record: record(updates, numberedBody(entry)),
      stateUpdates: updates.map(update),
    });
    tell(log, offset, entry);
  };
}

async function forEver(send: () => Promise<void>): Promise<never> {
  for (;;) await send();
}

await step('making of the data directory');
acquireDataDirectoryLock(options.data);
const log = await openLog({
  directory: join(options.data, 'log'),
  fileSystem,
  limits: {
    segmentBytesMax: options.segmentBytesMax,
    frameBytesMax: 16_000,
    frameEntriesMax: 8,
    diskReserveBytes: 0,
    appendWaitMaxMs: APPEND_WAIT_MAX_MS,
  },
  retention: { ageMaxMs: null, bytesMax: options.keptBytesMax },
});
const senders = [
  ...Array.from({ length: STREAMS }, () => openSender(log)),
  ...Array.from({ length: OTLP_SENDERS }, () => () => sendOtlp(log)),
];
if (options.isStepped) {
  await forEver(async () => {
    for (const send of senders) await send();
    // Retention settles before the next round, so that the operations come in one order.
    await log.sweep();
  });
} else {
  await Promise.all(senders.map(forEver));
}
