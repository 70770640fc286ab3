/**
 * Runs a schedule against a log whose disk, clock, timers and index files are simulated, and checks what it shows after every restart and
 * at the end. The same schedule gives the same run, whatever the machine: nothing waits for real time or real I/O.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import {
  type Appended,
  type AppendOptions,
  type DurablePosition,
  ENTRY_FLAGS,
  ENTRY_KINDS,
  type LogEntry,
  type LogFileSystem,
  type LogStream,
  listSegments,
  openLog,
  openLogReader,
  type RetainedLog,
  verifyLog,
} from '../../../src/log/index.ts';
import { indexPath, segmentBaseOffsets, segmentPath } from '../../../src/log/layout.ts';
import { rebuildIndex } from '../../../src/log/offline.ts';
import type { IndexContent } from '../../../src/log/segment-index.ts';
import { type Random, seededRandom } from '../../helpers/random.ts';
import { type Attempt, LogModel } from './log-model.ts';
import { type IndexFate, type ProcessEnd, type Schedule, type Step, stepText } from './schedule.ts';
import { FAIR, isInjected, SimulatedDisk } from './simulated-disk.ts';
import { SimulatedHolders } from './simulated-holders.ts';
import { SimulatedIndex } from './simulated-index.ts';
import { SimulatedReaders } from './simulated-readers.ts';
import { SimulatedTime, turn } from './simulated-time.ts';
import { applyUpdates, type ToyState, toUpdate, toyRecord, toyStateText } from './toy-records.ts';

/** What a run did, for comparing two of the same schedule. */
export interface Outcome {
  readonly trace: readonly string[];
  readonly acked: number;
  readonly refused: number;
  readonly restarts: number;
}

/** A schedule whose log did not keep its promise. */
export class SimulationError extends Error {
  readonly trace: readonly string[];
  /** Steps that were begun. */
  readonly steps: number;

  constructor(trace: readonly string[], steps: number, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.trace = trace;
    this.steps = steps;
  }
}

/** One process: from opening the log to its end. */
interface Process {
  readonly log: RetainedLog;
  readonly fileSystem: LogFileSystem;
  readonly streams: ({ readonly stream: LogStream; readonly state: ToyState } | null)[];
  readonly readers: SimulatedReaders;
  readonly holders: SimulatedHolders;
  durable: DurablePosition;
  unanswered: number;
  isOver: boolean;
}

/** How the opening of a log goes on. */
interface Opening {
  log?: RetainedLog;
  error?: unknown;
  index?: IndexAtOpen | null;
  /** Called in the moment in which the log is open. */
  look?: () => IndexAtOpen | null;
}

interface IndexAtOpen {
  readonly content: IndexContent;
  readonly rebuilt: IndexContent;
}

type RestartStep = Extract<Step, { type: 'restart' }>;

/** For the files of SQLite: memory where there is some. */
const SCRATCH = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
/** Rounds of a settle: each lets some turns and 250 ms pass, more than the slowest weather needs. */
const ROUNDS_MAX = 2_000;
const ROUND_TURNS = 12;
const ROUND_MS = 250;
/** Until a log whose disk is well again takes entries. */
const RESUMES_WITHIN_MS = 5_000;
const RESUME_ROUND_MS = 1_000;
/** Openings that may fail before the weather turns fair. */
const OPENINGS_MAX = 3;
/** Appends of which one must be taken when the disk is well again. */
const APPENDS_MAX = 4;

/** Runs a schedule. Rejects with a SimulationError when the log breaks an invariant. */
export async function simulate(schedule: Schedule): Promise<Outcome> {
  const scratch = mkdtempSync(join(SCRATCH, 'treasury-simulation-'));
  const simulation = new Simulation(schedule, scratch);
  const restoreTimers = simulation.time.install();
  try {
    return await simulation.run();
  } catch (error) {
    throw new SimulationError(simulation.disk.trace, simulation.stepsBegun, error);
  } finally {
    restoreTimers();
    simulation.index.crash();
    rmSync(scratch, { recursive: true, force: true });
  }
}

class Simulation {
  readonly time = new SimulatedTime();
  readonly disk: SimulatedDisk;
  readonly index: SimulatedIndex;
  stepsBegun = 0;
  readonly #schedule: Schedule;
  readonly #directory: string;
  readonly #model = new LogModel();
  /** For what is not the disk's: readers, crashes. */
  readonly #random: Random;
  #process: Process | null = null;
  #restarts = 0;
  /** Whether the disk has ever said how little room it has. */
  #tellsRoom = false;
  #failures: unknown[] = [];

  constructor(schedule: Schedule, scratch: string) {
    this.#schedule = schedule;
    this.#directory = join(scratch, 'log');
    // SQLite is real, and so is the folder of its files.
    mkdirSync(this.#directory);
    const random = seededRandom(schedule.seed ^ 0x5eed);
    this.#random = random;
    this.disk = new SimulatedDisk({ random, time: this.time, sectorBytes: schedule.sectorBytes, root: scratch });
    this.index = new SimulatedIndex(indexPath(this.#directory));
  }

  async run(): Promise<Outcome> {
    await this.#open([]);
    for (const step of this.#schedule.steps) {
      this.stepsBegun++;
      this.#note(stepText(step));
      await this.#do(step);
      this.#throwFailures();
    }
    this.#note('end');
    await this.#end();
    this.#throwFailures();
    const refused = this.#model.attempts.filter(({ outcome }) => outcome === 'refused').length;
    return { trace: this.disk.trace, acked: this.#model.acked, refused, restarts: this.#restarts };
  }

  /** Whether retention has a reason to delete segments. */
  get #mayDelete(): boolean {
    const { ageMaxMs, bytesMax } = this.#schedule.retention;
    return ageMaxMs !== null || bytesMax !== null || this.#tellsRoom;
  }

  async #do(step: Step): Promise<void> {
    const process = this.#process!;
    switch (step.type) {
      case 'append':
        return this.#append(process, step);
      case 'otlp':
        return this.#appendOtlp(process, step);
      case 'absorb': {
        const { stream, state } = this.#stream(process, step.stream);
        applyUpdates(state, step.updates);
        return stream.absorb(step.updates.map(toUpdate));
      }
      case 'closeStream':
        process.streams[step.stream]?.stream.close();
        process.streams[step.stream] = null;
        return;
      case 'settle':
        return this.#settle(process);
      case 'turns':
        for (let turns = step.count; turns > 0; turns--) await turn();
        return;
      case 'advance':
        return this.time.advance(step.ms);
      case 'jump':
        return this.time.jump(step.ms);
      case 'weather':
        this.#tellsRoom ||= step.weather.roomBytes !== null && step.weather.tellsRoom;
        return this.disk.setWeather(step.weather);
      case 'openReader':
        return process.readers.open(step.place);
      case 'read':
        return process.readers.read(step.reader, step.frames);
      case 'closeReader':
        return process.readers.close(step.reader);
      case 'hold':
        return process.holders.take(step);
      case 'advanceHold':
        return process.holders.advance(step);
      case 'releaseHold':
        return process.holders.release(step);
      case 'restart':
        return this.#restart(process, step);
    }
  }

  #append(process: Process, step: Extract<Step, { type: 'append' }>): void {
    const { stream, state } = this.#stream(process, step.stream);
    applyUpdates(state, step.updates);
    const stateUpdates = step.updates.map(toUpdate);
    const facts = { streamId: stream.id, kind: ENTRY_KINDS.BAR, signal: stream.signal, state: toyStateText(state) };
    const flags = stateUpdates.reduce(
      (bits, { kind }) => bits | (kind === 'schema' ? ENTRY_FLAGS.HAS_SCHEMA : ENTRY_FLAGS.HAS_DICTIONARY),
      0,
    );
    this.#track(process, step, { ...facts, flags, updates: step.updates }, (options) =>
      stream.append({ ...options, stateUpdates }),
    );
  }

  #appendOtlp(process: Process, step: { bytes: number; looksLikeLog: boolean; headers: boolean }): void {
    const signal = 1 + this.#random.below(3);
    const facts = { streamId: 0n, kind: ENTRY_KINDS.OTLP, signal, state: '', flags: 0, updates: [] };
    this.#track(process, step, facts, (options) => process.log.appendOtlp(signal, options));
  }

  #track(
    process: Process,
    step: { bytes: number; looksLikeLog: boolean; headers: boolean },
    facts: Pick<Attempt, 'streamId' | 'kind' | 'signal' | 'state' | 'flags'> & { updates: readonly string[] },
    append: (options: AppendOptions) => Promise<Appended>,
  ): void {
    const { updates, ...rest } = facts;
    const id = this.#model.attempts.length;
    const hasFlag = step.headers && id % 2 === 0;
    const attempt = this.#model.attempt({
      ...rest,
      flags: rest.flags | (hasFlag ? ENTRY_FLAGS.HEADERS_CUT : 0),
      batchId: BigInt(id) - 3n,
      headers: new Map(
        step.headers
          ? [
              ['tenant', `t${id}`],
              ['ü', '"\n'],
            ]
          : [],
      ),
      record: toyRecord(updates, id, step.bytes, step.looksLikeLog),
      receivedAtUnixNano: this.time.nowUnixNano(),
    });
    const half = attempt.record.length >> 1;
    const options = {
      batchId: attempt.batchId,
      record: [Buffer.from(attempt.record.subarray(0, half)), Buffer.from(attempt.record.subarray(half))],
      headers: attempt.headers,
      ...(hasFlag && { flags: ENTRY_FLAGS.HEADERS_CUT }),
    };
    process.unanswered++;
    append(options).then(
      ({ offset }) =>
        this.#guard(process, () => {
          process.unanswered--;
          this.#note(`record ${id} acknowledged at ${offset}`);
          this.#model.ack(attempt, offset, process.log.status().durableOffset);
        }),
      (error: unknown) =>
        this.#guard(process, () => {
          process.unanswered--;
          this.#note(`record ${id} refused`);
          this.#model.refuse(attempt);
          assert.ok(isUnavailable(error), `record ${id} was refused with ${String(error)}`);
        }),
    );
  }

  #stream(process: Process, place: number): { stream: LogStream; state: ToyState } {
    return (process.streams[place] ??= { stream: process.log.openStream(1 + place), state: new Map() });
  }

  /** Lets everything happen until all appends are answered. */
  async #settle(process: Process): Promise<void> {
    await this.#until(() => process.unanswered === 0, 'appends are answered');
  }

  /** Lets time pass, with turns for what it sets off. */
  async #pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += RESUME_ROUND_MS) {
      await this.time.advance(RESUME_ROUND_MS);
      for (let turns = ROUND_TURNS; turns > 0; turns--) await turn();
    }
  }

  async #until(isDone: () => boolean, what: string): Promise<void> {
    for (let round = 0; !isDone(); round++) {
      assert.ok(round < ROUNDS_MAX, `nothing happens until ${what}`);
      for (let turns = ROUND_TURNS; turns > 0 && !isDone(); turns--) await turn();
      if (!isDone()) await this.time.advance(ROUND_MS);
    }
  }

  async #restart(process: Process, step: RestartStep): Promise<void> {
    this.#restarts++;
    this.index.remember();
    await this.#endProcess(process, step.end);
    this.#treatIndex(step.index, step.end);
    this.#dropOldest(step.dropOldest);
    await this.#open(step.interruptions);
  }

  async #endProcess(process: Process, end: ProcessEnd): Promise<void> {
    if (end === 'close') {
      let isClosed = false;
      const closing = process.log.close().then(() => {
        isClosed = true;
      });
      await this.#until(() => isClosed, 'the log is closed');
      await closing;
      assert.equal(process.unanswered, 0, 'appends are answered when the log is closed');
    }
    process.isOver = true;
    this.#process = null;
    process.readers.closeAll();
    this.#crash(end === 'powerCut' ? 'powerCut' : 'kill');
  }

  #crash(end: 'kill' | 'powerCut'): void {
    this.time.dropTimers();
    this.index.crash();
    if (end === 'kill') {
      this.disk.kill();
    } else {
      this.disk.cutPower();
      this.index.reboot();
    }
  }

  #treatIndex(fate: IndexFate, end: ProcessEnd): void {
    if (fate === 'lost') this.index.lose();
    if (fate === 'older') this.index.becomeOlder(this.#random);
    // The page cache outlives a process: only a power cut leaves pages of several times.
    if (fate === 'garbled' && end === 'powerCut') this.index.garble(this.#random);
    if (fate !== 'ahead') return;
    this.index.runAhead(this.#random);
    this.#model.expectsFindings = true;
  }

  /** Deletes segments as an operator does while nothing runs; never the last one with entries. */
  #dropOldest(count: number): void {
    if (count === 0) return;
    const fileSystem = this.disk.mount();
    const kept = this.disk.calmly(() => {
      fileSystem.makeDirectory(this.#directory);
      return listSegments(this.#directory, { fileSystem }).filter(({ entries }) => entries > 0n);
    });
    // What the last one seems to hold may be a torn write.
    const first = kept[Math.min(count, kept.length - 2)];
    if (first === undefined) return;
    const names = this.disk.calmly(() => segmentBaseOffsets(fileSystem.list(this.#directory)));
    for (const baseOffset of names) {
      if (baseOffset < first.baseOffset) this.disk.removeForGood(segmentPath(this.#directory, baseOffset));
    }
    this.#model.forgetBelow(first.baseOffset);
  }

  async #open(interruptions: RestartStep['interruptions']): Promise<void> {
    for (const { turns, end } of interruptions) {
      this.#start();
      for (let left = turns; left > 0; left--) await turn();
      if (turns % 3 === 0) await this.time.advance(ROUND_MS);
      this.#note(`opening cut short by ${end}`);
      this.#crash(end);
    }
    for (let opening = 0; ; opening++) {
      if (opening === OPENINGS_MAX) this.disk.setWeather(FAIR);
      const { fileSystem, result } = this.#start();
      // At once: what an earlier process left without a seal gets it soon, and the index a little later.
      result.look = () => this.#lookAtIndex(fileSystem);
      await this.#until(() => result.log !== undefined || result.error !== undefined, 'the log is open');
      if (result.log !== undefined) {
        this.#begin(result.log, fileSystem, result.index ?? null);
        return;
      }
      const isExpected = (isInjected(result.error) || isUnavailable(result.error)) && opening < OPENINGS_MAX;
      if (!isExpected) throw result.error;
      this.#note('opening failed');
      this.#crash(this.#random.pick(['kill', 'powerCut']));
    }
  }

  #start(): { fileSystem: LogFileSystem; result: Opening } {
    const fileSystem = this.disk.mount();
    const result: Opening = {};
    openLog({
      directory: this.#directory,
      clock: this.time,
      fileSystem,
      openIndex: this.index.open,
      limits: this.#schedule.limits,
      retention: this.#schedule.retention,
    }).then(
      (log) => {
        result.index = result.look?.() ?? null;
        result.log = log;
      },
      (error: unknown) => {
        result.error = error;
      },
    );
    return { fileSystem, result };
  }

  #newProcess(log: RetainedLog, fileSystem: LogFileSystem, durable: DurablePosition): Process {
    const model = this.#model;
    const readers = new SimulatedReaders({
      directory: this.#directory,
      log,
      fileSystem,
      model,
      durable: () => process.durable,
      mayDelete: () => this.#mayDelete,
      note: (what) => this.#note(what),
    });
    const holders = new SimulatedHolders({
      log,
      model,
      time: this.time,
      segments: () => this.disk.calmly(() => segmentBaseOffsets(fileSystem.list(this.#directory))),
      endOf: (baseOffset) => {
        const all = this.disk.calmly(() => listSegments(this.#directory, { fileSystem }));
        return all.find((segment) => segment.baseOffset === baseOffset)?.endOffset ?? baseOffset;
      },
      isRemoving: () => this.disk.isRemoving,
      isByAgeAlone: () => this.#schedule.retention.bytesMax === null && !this.#tellsRoom,
      guard: (what) => this.#guard(process, what),
    });
    const process: Process = { log, fileSystem, streams: [], readers, holders, durable, unanswered: 0, isOver: false };
    this.disk.onRemove = (path) =>
      this.#guard(process, () => {
        if (path.endsWith('.arrows')) holders.onRemove(BigInt(basename(path, '.arrows')));
      });
    return process;
  }

  /** The index of a log that was just opened, and what it should be. Not each time: it reads everything once more. */
  #lookAtIndex(fileSystem: LogFileSystem): IndexAtOpen | null {
    if (this.#random.below(2) === 0) return null;
    const content = this.index.current!.content();
    return { content, rebuilt: this.disk.calmly(() => rebuildIndex(this.#directory, { fileSystem })) };
  }

  #begin(log: RetainedLog, fileSystem: LogFileSystem, index: IndexAtOpen | null): void {
    const { durableOffset, segment, segmentBytes } = log.status();
    const process = this.#newProcess(log, fileSystem, { durableOffset, segment, segmentBytes });
    this.#process = process;
    this.#note(`open: ${durableOffset} entries, next ${log.status().nextOffset}`);
    log.onDurable((position) =>
      this.#guard(process, () => {
        process.durable = position;
        this.#model.announce(position.durableOffset);
      }),
    );
    this.#checkAll(process);
    // With an index that runs ahead, what is left of a torn write is damage to recovery and none to a rebuild.
    if (index === null || this.#model.expectsFindings) return;
    assert.deepEqual(index.content, index.rebuilt, 'index');
  }

  #checkAll({ log, fileSystem, durable, holders }: Process): void {
    holders.look();
    const entries: LogEntry[] = [];
    const status = this.disk.calmly(() => {
      const { firstOffset, ...rest } = log.status();
      // In the middle of a deletion the status lags behind the files.
      const oldest = segmentBaseOffsets(fileSystem.list(this.#directory))[0] ?? firstOffset;
      const from = this.#mayDelete && oldest > firstOffset ? oldest : firstOffset;
      const reader = openLogReader({ directory: this.#directory, from, durable, fileSystem });
      for (let frame = reader.nextFrame(); frame !== null; frame = reader.nextFrame()) entries.push(...frame);
      reader.close();
      return { ...rest, firstOffset: from };
    });
    // Nothing else deletes. An index that claims too much makes an empty log begin where it says that the log ends.
    const mayHaveDeleted = this.#mayDelete && (entries.length > 0 || !this.#model.expectsFindings);
    if (mayHaveDeleted && status.firstOffset > this.#model.deletedBelow) this.#model.forgetBelow(status.firstOffset);
    this.#model.check(entries, status);
    assert.deepEqual(this.disk.violations, []);
  }

  /** With a disk that is well: takes entries, closes, verifies, and every segment stands alone. */
  async #end(): Promise<void> {
    this.disk.setWeather(FAIR);
    await this.#settle(this.#process!);
    this.#process!.holders.look();
    await this.#pass(RESUMES_WITHIN_MS);
    assert.equal(this.#process!.log.status().refusing, null, 'the log refuses entries although the disk is well');
    const ackedBefore = this.#model.acked;
    for (let append = 0; this.#model.acked === ackedBefore; append++) {
      assert.ok(append < APPENDS_MAX, 'no entry is taken although the disk is well');
      this.#appendOtlp(this.#process!, { bytes: 30, looksLikeLog: false, headers: false });
      await this.#settle(this.#process!);
      this.#throwFailures();
    }
    this.#process!.readers.readAll();
    this.#checkAll(this.#process!);
    await this.#endProcess(this.#process!, 'close');
    this.#dropOldest(this.#random.below(4));
    await this.#open([]);
    await this.#endProcess(this.#process!, 'close');
    const findings = this.disk.calmly(() => verifyLog(this.#directory, { fileSystem: this.disk.mount() }));
    if (!this.#model.expectsFindings) assert.deepEqual(findings, [], 'findings of verifyLog');
  }

  /** Keeps what goes wrong in a callback for the step that runs. */
  #guard(process: Process, what: () => void): void {
    if (process.isOver) return;
    try {
      what();
    } catch (error) {
      this.#failures.push(error);
    }
  }

  #throwFailures(): void {
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  #note(what: string): void {
    this.disk.trace.push(`-- ${what}`);
  }
}

function isUnavailable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'TREASURY_LOG_UNAVAILABLE';
}
