/**
 * Remembers, beyond the end of the thread and of the process, which entry was worked on. An entry that takes the engine down (memory,
 * an endless loop, a crash of native code) would take down every engine after it. Here the next one finds whose work was not finished,
 * tries that entry alone, and leaves it out when the engine has died of it again.
 *
 * The note is written beside the tables without fsync: it has to outlive processes, not machines.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { LIMITS, type Logger } from '../base/index.ts';
import type { FailedRange } from './failed-range.ts';

export interface EntryAttempts {
  /** Whether an engine has died of the entry: its transaction holds nothing else. */
  isSuspect(offset: bigint): boolean;
  /** Why an entry must not be touched any more, or undefined. */
  verdictOn(offset: bigint): string | undefined;
  /** Runs `work`, which is about one entry and does not wait. */
  working<Result>(offset: bigint, work: () => Result): Result;
  /** The rows of these entries go into the database from now until `settled` or `takenBack`. */
  committing(offsets: readonly bigint[]): void;
  /** The transaction is committed; everything below `nextOffset` is done with. */
  settled(nextOffset: bigint): void;
  takenBack(): void;
  /** The engine ends amid what it does: the note stays as it is, whatever is still told. */
  abandon(): void;
  /** The engine ends in order. */
  close(): void;
}

export interface EntryAttemptsOptions {
  /** Path of the note. Its folder is made. */
  readonly file: string;
  readonly logUuid: string;
  /** Differs from process to process. */
  readonly processLife: string;
  readonly pulse: Pulse;
  /** Told when a transaction of several entries was not survived: the next ones are smaller. */
  readonly failedRange: FailedRange;
  readonly logger: Logger;
}

/** What the main thread sees of the work. */
export interface Pulse {
  /** Work on an entry begins, or ends. */
  work(isBusy: boolean): void;
  committed(): void;
}

/** How reasons of entries begin that the engine died of: an entry quarantined so is not decoded at later starts either. */
export const DEADLY_REASON = 'The engine died of the entry';

/** Remembers nothing, for a loop whose thread outlives everything. */
export const NO_ATTEMPTS: EntryAttempts = {
  isSuspect: () => false,
  verdictOn: () => undefined,
  working: (_offset, work) => work(),
  committing() {},
  settled() {},
  takenBack() {},
  abandon() {},
  close() {},
};

/** Reads what an engine before has left, and goes on from there. A file that cannot be had or read is done without. */
export function openEntryAttempts(options: EntryAttemptsOptions): EntryAttempts {
  const { file, logUuid, processLife, pulse, failedRange, logger } = options;
  let suspect = judge(readNote(file, logUuid), processLife);
  if (suspect !== null) {
    const { last, entries, threadDeaths, processDeaths } = suspect;
    logger.warn('An engine ended while it worked on entries', { last, entries, threadDeaths, processDeaths });
  }
  if (suspect !== null && suspect.entries > 1) {
    failedRange.narrow(suspect.entries >> 1, suspect.last);
    suspect = null;
  }
  const verdict = suspect === null ? undefined : verdictOf(suspect);
  const writeNote = openNote(file);
  let isAbandoned = false;
  tell(null);

  function write(note: Note | null): void {
    if (!isAbandoned) writeNote(note);
  }

  function tell(inHand: InHand | null): void {
    pulse.work(inHand !== null);
    write({ logUuid, processLife, inHand, suspect });
  }

  return {
    isSuspect: (offset) => suspect?.last === offset,
    verdictOn: (offset) => (suspect?.last === offset ? verdict : undefined),
    working(offset, work) {
      tell({ last: offset, entries: 1 });
      try {
        return work();
      } finally {
        tell(null);
      }
    },
    committing(offsets) {
      const last = offsets.at(-1);
      if (last === undefined) return;
      write({ logUuid, processLife, inHand: { last, entries: offsets.length }, suspect });
    },
    settled(nextOffset) {
      if (suspect !== null && suspect.last < nextOffset) suspect = null;
      tell(null);
      pulse.committed();
    },
    takenBack: () => tell(null),
    abandon() {
      isAbandoned = true;
    },
    close() {
      write(null);
      if (suspect === null && !isAbandoned) remove(file);
    },
  };
}

/** Entries whose work has begun and not ended. */
interface InHand {
  readonly last: bigint;
  readonly entries: number;
}

interface Suspect extends InHand {
  /** Ends of the thread in a process that went on: nothing from outside does that. */
  readonly threadDeaths: number;
  /** Ends of the whole process: it may have been killed from outside. */
  readonly processDeaths: number;
}

interface Note {
  readonly logUuid: string;
  readonly processLife: string;
  readonly inHand: InHand | null;
  readonly suspect: Suspect | null;
}

/** Who is suspected now, after the engine that wrote the note has ended. */
function judge(note: Note | null, processLife: string): Suspect | null {
  if (note === null) return null;
  const { inHand, suspect } = note;
  if (inHand === null) return suspect;
  const isKnown = suspect !== null && suspect.last === inHand.last && inHand.entries === 1;
  const { threadDeaths, processDeaths } = isKnown ? suspect : { threadDeaths: 0, processDeaths: 0 };
  const isThread = note.processLife === processLife;
  return {
    ...inHand,
    threadDeaths: threadDeaths + (isThread ? 1 : 0),
    processDeaths: processDeaths + (isThread ? 0 : 1),
  };
}

function verdictOf({ threadDeaths, processDeaths }: Suspect): string | undefined {
  const deaths = threadDeaths + processDeaths;
  if (threadDeaths < LIMITS.entryThreadDeathsMax && deaths < LIMITS.entryDeathsMax) return undefined;
  return `${DEADLY_REASON} ${deaths} times`;
}

const NOTE_BYTES = 512;

/** Returns what writes the note; null closes it. */
function openNote(file: string): (note: Note | null) => void {
  let descriptor: number | null = null;
  try {
    mkdirSync(dirname(file), { recursive: true });
    descriptor = openSync(file, 'w');
  } catch {
    // A folder that takes no file has other things to say.
  }
  return (note) => {
    if (descriptor === null) return;
    try {
      if (note === null) {
        closeSync(descriptor);
        descriptor = null;
      } else {
        writeSync(
          descriptor,
          JSON.stringify(note, plain)
            .padEnd(NOTE_BYTES - 1)
            .concat('\n'),
          0,
        );
      }
    } catch {
      // A full disk: the work itself goes on as far as it can.
    }
  };
}

function remove(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // What could not be made cannot be removed.
  }
}

function readNote(file: string, logUuid: string): Note | null {
  try {
    const note = JSON.parse(readFileSync(file, 'utf8'), revived) as Note;
    return note.logUuid === logUuid ? note : null;
  } catch {
    return null;
  }
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

function revived(key: string, value: unknown): unknown {
  return key === 'last' ? BigInt(value as string) : value;
}
