/** Runs `cut-writer.ts` on a disk, and looks at what a power cut has left of its log. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createLogger } from '../../src/base/index.ts';
import { checkLog, type LogEntry, type LogFinding, openLog, openLogReader } from '../../src/log/index.ts';
import { readIndex, rebuildIndex } from '../../src/log/offline.ts';
import { drain, readAll } from '../log/log-helpers.ts';
import { loaderFlags } from './checkout.ts';
import type { CutWriterOptions } from './cut-writer.ts';
import { foundEntries, type NumberedEntry, numberedBody, numberedState } from './numbered-entries.ts';

const WRITER = fileURLToPath(new URL('./cut-writer.ts', import.meta.url));
/** What a writer has told. */
export interface Told {
  readonly acked: Map<bigint, NumberedEntry>;
  /** Entries below were deleted by retention. */
  first: bigint;
}

export interface CutWriter {
  readonly told: Told;
  /** The change of the disk that a stepped writer is about to make; rejects when it has ended. */
  nextStep(): Promise<string>;
  goOn(): void;
  /** Resolves when so many entries are acknowledged. */
  reach(entries: number): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  end(): Promise<void>;
}

export function startCutWriter(options: CutWriterOptions): CutWriter {
  const child = spawn(process.execPath, [...loaderFlags, WRITER, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close');
  const told: Told = { acked: new Map(), first: 0n };
  const steps: string[] = [];
  let errors = '';
  let wake = (): void => {};
  child.stdin.on('error', () => {});
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [word, first, number, place] = line.split(' ');
    if (word === 'at') {
      steps.push(line.slice('at '.length));
    } else if (word === 'first') {
      told.first = BigInt(first!);
    } else {
      assert.ok(!told.acked.has(BigInt(first!)), `offset ${first} was given out twice`);
      told.acked.set(BigInt(first!), { number: Number(number), place: place === 'otlp' ? null : Number(place) });
    }
    wake();
  });
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) {
      const woken = new Promise<boolean>((resolve) => (wake = () => resolve(true)));
      if (!(await Promise.race([closed.then(() => false), woken]))) throw new Error(`The writer has ended: ${errors}`);
    }
  };
  return {
    told,
    reach: (entries) => until(() => told.acked.size >= entries),
    async nextStep() {
      await until(() => steps.length > 0);
      return steps.shift()!;
    },
    goOn: () => child.stdin.write('\n'),
    signal: (signal) => child.kill(signal),
    async end() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

/** What was told so far, to be compared later. */
export function copyTold({ acked, first }: Told): Told {
  return { acked: new Map(acked), first };
}

export interface Survived {
  /** Acknowledged entries that are neither there nor deleted by retention. */
  readonly lost: readonly bigint[];
  readonly isTorn: boolean;
}

/**
 * Opens the log that a cut has left, as a server would, and asserts all but that nothing is lost: no complaint but of a torn write,
 * entries whole, in order and decodable (I1, I2, I7), not more deleted than retention may and a deletion that was told for good, an index
 * as if built anew (I6), no offset given out again, nothing for `log verify` to find.
 */
export async function survive(data: string, told: Told, keptBytesMin: number): Promise<Survived> {
  const directory = join(data, 'log');
  if (existsSync(directory)) assert.deepEqual(unmendedFindings(directory), []);
  const { entries, status, warnings, nextOffset } = await reopen(directory);
  const isCut = (line: string) => line.includes('Cut a torn write off the log');
  // A machine may be slow at any time: that says nothing of what was there.
  assert.deepEqual(
    warnings.filter((line) => !isCut(line) && !line.includes('The disk is slow')),
    [],
  );
  assert.deepEqual([status.gaps, status.quarantinedRanges], [[], 0]);
  const { firstOffset, durableOffset, bytes } = status;
  assert.deepEqual(
    entries.map(({ offset }) => offset),
    Array.from({ length: Number(durableOffset - firstOffset) }, (_, i) => firstOffset + BigInt(i)),
  );
  assert.ok(firstOffset >= told.first, `deleted up to ${told.first}, begins at ${firstOffset}`);
  const isTooMuchGone = firstOffset > 0n && bytes < keptBytesMin;
  assert.ok(!isTooMuchGone, `begins at ${firstOffset} with ${bytes} bytes: more was deleted than retention may`);
  const again = [...told.acked.keys()].filter((offset) => offset >= nextOffset);
  assert.deepEqual(again, [], 'acknowledged offsets that are given out again');
  assertSent(entries, told);
  assertReadableFromTheMiddle(entries, directory);
  assert.deepEqual(readIndex(directory), rebuildIndex(directory));
  assert.deepEqual(
    [...checkLog(directory)].flatMap(({ findings }) => findings),
    [],
  );
  return { lost: lostEntries(entries, told, firstOffset), isTorn: warnings.some(isCut) };
}

/** Acknowledged entries that are lost where nothing was synced: there nothing is promised but that the log opens. */
export async function lostUnsynced(data: string, told: Told): Promise<readonly bigint[]> {
  const { entries, status } = await reopen(join(data, 'log'));
  assert.ok(status.nextOffset >= 0n);
  return lostEntries(entries, told, 0n);
}

async function reopen(directory: string) {
  const warnings: string[] = [];
  const logger = createLogger({ format: 'text', level: 'warn', write: (line) => warnings.push(line) });
  const log = await openLog({ directory, logger, limits: { diskReserveBytes: 0 } });
  const status = log.status();
  const entries = readAll(log, directory);
  const { offset: nextOffset } = await log.appendOtlp(2, { batchId: 0n, record: [Buffer.from('|after')] });
  await log.close();
  return { entries, status, warnings, nextOffset };
}

/** What a check finds that the next start does not mend: not a torn end, an index that is behind, a deletion that was not recorded yet. */
function unmendedFindings(directory: string): LogFinding[] {
  return [...checkLog(directory)].flatMap(({ findings }, step) =>
    // What is missing at the beginning is told in the first step.
    findings.filter(({ kind }) => kind !== 'torn' && kind !== 'index' && !(kind === 'missing' && step === 0)),
  );
}

/** Asserts that every entry is one that was sent, once, and that streams are in order. */
function assertSent(entries: readonly LogEntry[], told: Told): void {
  const places = new Map<bigint, number>();
  const numbers = new Set<number>();
  for (const [offset, entry] of foundEntries(entries)) {
    const { number, place, streamId } = entry;
    assert.equal(entry.body, numberedBody(entry), `entry ${offset} was never sent`);
    assert.ok(!numbers.has(number), `entry ${offset} is there twice`);
    numbers.add(number);
    assert.deepEqual({ number, place }, told.acked.get(offset) ?? { number, place }, `entry ${offset}`);
    if (place === null) continue;
    assert.equal(entry.state, numberedState(place), `state of entry ${offset}`);
    assert.equal(place, (places.get(streamId) ?? place - 1) + 1, `order of entry ${offset}`);
    places.set(streamId, place);
  }
}

function lostEntries(entries: readonly LogEntry[], told: Told, firstOffset: bigint): bigint[] {
  const found = foundEntries(entries);
  return [...told.acked]
    .filter(([offset, { number }]) => offset >= firstOffset && found.get(offset)?.number !== number)
    .map(([offset]) => offset);
}

/** I7: what follows a deleted prefix is read and decoded as before. */
function assertReadableFromTheMiddle(entries: readonly LogEntry[], directory: string): void {
  const last = entries.at(-1);
  if (last === undefined) return;
  const segments = [...new Set(entries.map(({ segment }) => segment))];
  const from = segments[Math.floor(segments.length / 2)]!;
  const durable = { durableOffset: last.offset + 1n, segment: last.segment, segmentBytes: Number.MAX_SAFE_INTEGER };
  const rest = drain(openLogReader({ directory, from, durable }));
  assert.deepEqual(foundEntries(rest), new Map([...foundEntries(entries)].filter(([offset]) => offset >= from)));
}
