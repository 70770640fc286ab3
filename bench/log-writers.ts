/**
 * Appends to a log, or inserts into SQLite, from a number of writers of which each waits for its last record to be durable before it
 * sends the next one. A process of its own, so that CPU and memory are those of the writers alone.
 *
 *   log-writers.ts '{"directory":"…","store":"log","writers":16,"recordBytes":4096,"seconds":3}'
 *
 * Prints one JSON line: LogWritersResult.
 */
import { createRequire } from 'node:module';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type Sqlite from 'better-sqlite3';
import { openLog } from './built-log.ts';
import { directoryBytes } from './process.ts';

export interface LogWritersOptions {
  directory: string;
  /** `sqlite`: WAL, synchronous = FULL, one row and one transaction a record. */
  store: 'log' | 'sqlite';
  writers: number;
  recordBytes: number;
  seconds: number;
}

export interface LogWritersResult {
  recordsPerSecond: number;
  mbPerSecond: number;
  ackMsP50: number;
  ackMsP99: number;
  /** Bytes of a group commit on average. */
  frameBytes: number;
  /** Bytes on the disk for each byte of records. */
  bytesRatio: number;
  cpuUsPerRecord: number;
}

const LOGS_SIGNAL = 1;

async function main(options: LogWritersOptions): Promise<LogWritersResult> {
  const directory = mkdtempSync(join(options.directory, 'treasury-data-bench-'));
  try {
    return await (options.store === 'log'
      ? writeLog(directory, options)
      : Promise.resolve(writeSqlite(directory, options)));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function writeLog(directory: string, options: LogWritersOptions): Promise<LogWritersResult> {
  const { writers, recordBytes, seconds } = options;
  const log = await openLog({ directory });
  const record = [randomBytes(recordBytes)];
  const latencies: number[] = [];
  const cpuBefore = process.cpuUsage();
  const begunAtMs = performance.now();
  const endAtMs = begunAtMs + seconds * 1000;
  const writer = async (): Promise<void> => {
    for (let now = performance.now(); now < endAtMs; ) {
      await log.appendOtlp(LOGS_SIGNAL, { batchId: 0n, record });
      const then = performance.now();
      latencies.push(then - now);
      now = then;
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  const elapsedSeconds = (performance.now() - begunAtMs) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  const { frames } = log.status();
  await log.close();
  const logBytes = directoryBytes(directory);
  return result(latencies, { elapsedSeconds, recordBytes, cpu, frames, storedBytes: logBytes });
}

function writeSqlite(directory: string, options: LogWritersOptions): LogWritersResult {
  const { recordBytes, seconds } = options;
  const Database = createRequire(import.meta.url)('better-sqlite3') as typeof Sqlite;
  const database = new Database(join(directory, 'log.sqlite'));
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE log (offset INTEGER PRIMARY KEY, record BLOB)',
  );
  const insert = database.prepare('INSERT INTO log (record) VALUES (?)');
  const record = randomBytes(recordBytes);
  const latencies: number[] = [];
  const cpuBefore = process.cpuUsage();
  const begunAtMs = performance.now();
  const endAtMs = begunAtMs + seconds * 1000;
  for (let now = begunAtMs; now < endAtMs; ) {
    insert.run(record);
    const then = performance.now();
    latencies.push(then - now);
    now = then;
  }
  const elapsedSeconds = (performance.now() - begunAtMs) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  database.close();
  return result(latencies, {
    elapsedSeconds,
    recordBytes,
    cpu,
    frames: latencies.length,
    storedBytes: directoryBytes(directory),
  });
}

function result(
  latencies: readonly number[],
  of: { elapsedSeconds: number; recordBytes: number; cpu: NodeJS.CpuUsage; frames: number; storedBytes: number },
): LogWritersResult {
  const sorted = latencies.toSorted((a, b) => a - b);
  const records = latencies.length;
  const bytes = records * of.recordBytes;
  return {
    recordsPerSecond: records / of.elapsedSeconds,
    mbPerSecond: bytes / of.elapsedSeconds / 1e6,
    ackMsP50: sorted[Math.floor(records * 0.5)]!,
    ackMsP99: sorted[Math.floor(records * 0.99)]!,
    frameBytes: bytes / of.frames,
    bytesRatio: of.storedBytes / bytes,
    cpuUsPerRecord: (of.cpu.user + of.cpu.system) / records,
  };
}

/** No pattern that a file system could store in less. */
function randomBytes(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

console.log(JSON.stringify(await main(JSON.parse(process.argv[2]!) as LogWritersOptions)));
