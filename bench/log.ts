/**
 * The log alone: group commit, acknowledgement times, bytes, and how long it takes to open. Every figure is a median of rounds; the
 * references run between them on the same disk: a plain write+fdatasync loop with blocks as large as the group commits were, and
 * SQLite (WAL, synchronous = FULL) with one row and transaction a record. The reference for the time of an acknowledgement is the same
 * loop with blocks as large as all records in flight: none of them is acknowledged sooner than the disk has taken those before it.
 *
 *   npm run build && npm run bench:log [-- --rounds 5]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openLog } from './built-log.ts';
import type { LogWritersOptions, LogWritersResult } from './log-writers.ts';
import { machine, median, root, runJson } from './process.ts';

const CASES = [
  { recordBytes: 4 * 1024, writers: 1, ratioTarget: 0.5 },
  { recordBytes: 4 * 1024, writers: 16, ratioTarget: 0.8 },
  { recordBytes: 64 * 1024, writers: 1, ratioTarget: 0.5 },
  { recordBytes: 64 * 1024, writers: 16, ratioTarget: 0.8 },
  { recordBytes: 1024 * 1024, writers: 1, ratioTarget: 0.5 },
  { recordBytes: 1024 * 1024, writers: 16, ratioTarget: 0.8 },
] as const;
type Case = (typeof CASES)[number];

const SECONDS = 2;
const OPEN_BYTES = 1_000_000_000;
const OPEN_RECORD_BYTES = 64 * 1024;
const OPEN_IN_FLIGHT = 64;
const OPEN_TARGET_MS = 100;
const SCAN_TARGET_BYTES_PER_SECOND = 0.5e9;
const P99_TARGET_MS = 5;
const LOGS_SIGNAL = 1;

interface DiskResult {
  mbPerSecond: number;
  msP50: number;
  msP99: number;
}

interface OpenResult {
  ms: number;
  bytes: number;
  gaps: number;
}

const { values: flags } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } });
const rounds = Number(flags.rounds);

console.log(machine());
for (const one of CASES) await measureCommits(one);
await measureOpening();

async function measureCommits({ recordBytes, writers, ratioTarget }: Case): Promise<void> {
  const logs: LogWritersResult[] = [];
  const disks: DiskResult[] = [];
  const inFlight: DiskResult[] = [];
  const sqlites: LogWritersResult[] = [];
  for (let round = 0; round < rounds; round++) {
    const options = { directory: root, writers, recordBytes, seconds: SECONDS };
    const log = await runJson<LogWritersResult>('log-writers.ts', {
      ...options,
      store: 'log',
    } satisfies LogWritersOptions);
    const blockBytes = Math.round(log.frameBytes * log.bytesRatio);
    const inFlightBytes = Math.round(writers * recordBytes * log.bytesRatio);
    const loop = { directory: root, seconds: SECONDS };
    const disk = await runJson<DiskResult>('fsync-loop.ts', { ...loop, blockBytes });
    disks.push(disk);
    inFlight.push(
      inFlightBytes === blockBytes
        ? disk
        : await runJson<DiskResult>('fsync-loop.ts', { ...loop, blockBytes: inFlightBytes }),
    );
    sqlites.push(
      await runJson<LogWritersResult>('log-writers.ts', { ...options, store: 'sqlite' } satisfies LogWritersOptions),
    );
    logs.push(log);
  }
  const of = (pick: (result: LogWritersResult) => number) => median(logs.map(pick));
  const ratio = median(logs.map((log, i) => (log.mbPerSecond * log.bytesRatio) / disks[i]!.mbPerSecond));
  const p99 = of(({ ackMsP99 }) => ackMsP99);
  const inFlightP99 = median(inFlight.map(({ msP99 }) => msP99));
  const sqliteRate = median(sqlites.map(({ recordsPerSecond }) => recordsPerSecond));
  console.log(
    `${recordBytes / 1024} KiB, ${writers} writers: ${of(({ recordsPerSecond }) => recordsPerSecond).toFixed(0)} records/s, ` +
      `${of(({ mbPerSecond }) => mbPerSecond).toFixed(0)} MB/s, ${ratio.toFixed(2)} x write+fdatasync of ${(of(({ frameBytes }) => frameBytes) / 1024).toFixed(0)} KiB blocks (target ${ratioTarget}); ` +
      `ack p50 ${of(({ ackMsP50 }) => ackMsP50).toFixed(2)} ms, p99 ${p99.toFixed(2)} ms (target ${(inFlightP99 + P99_TARGET_MS).toFixed(2)}: ${P99_TARGET_MS} more than that loop with all in flight, ${((writers * recordBytes) / 1024).toFixed(0)} KiB); ` +
      `${of(({ bytesRatio }) => bytesRatio).toFixed(3)} bytes a byte (target 1.05), ${of(({ cpuUsPerRecord }) => cpuUsPerRecord).toFixed(0)} us CPU a record; ` +
      `SQLite ${sqliteRate.toFixed(0)} records/s, ratio ${(of(({ recordsPerSecond }) => recordsPerSecond) / sqliteRate).toFixed(1)}`,
  );
}

async function measureOpening(): Promise<void> {
  const directory = mkdtempSync(join(root, 'treasury-data-bench-'));
  try {
    await fill(directory);
    const withIndex: OpenResult[] = [];
    const without: OpenResult[] = [];
    for (let round = 0; round < rounds; round++) {
      withIndex.push(await runJson<OpenResult>('log-open.ts', { directory, hasIndex: true }));
      without.push(await runJson<OpenResult>('log-open.ts', { directory, hasIndex: false }));
    }
    const gaps = [...withIndex, ...without].reduce((sum, each) => sum + each.gaps, 0);
    if (gaps > 0) throw new Error(`Cannot trust the round: the log has ${gaps} gaps`);
    const scanned = median(without.map(({ ms, bytes }) => bytes / (ms / 1000)));
    console.log(
      `open ${(withIndex[0]!.bytes / 1e9).toFixed(2)} GB: ${median(withIndex.map(({ ms }) => ms)).toFixed(0)} ms with its index (target ${OPEN_TARGET_MS}), ` +
        `${median(without.map(({ ms }) => ms)).toFixed(0)} ms without, ${(scanned / 1e9).toFixed(2)} GB/s (target ${SCAN_TARGET_BYTES_PER_SECOND / 1e9}); page cache warm`,
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function fill(directory: string): Promise<void> {
  const log = await openLog({ directory });
  const record = [Buffer.alloc(OPEN_RECORD_BYTES, 0x5a)];
  let left = Math.ceil(OPEN_BYTES / OPEN_RECORD_BYTES);
  const writer = async (): Promise<void> => {
    while (left-- > 0) await log.appendOtlp(LOGS_SIGNAL, { batchId: 0n, record });
  };
  await Promise.all(Array.from({ length: OPEN_IN_FLIGHT }, writer));
  await log.close();
}
