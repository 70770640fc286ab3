/** One version at work: finds the size of its ranges by the time they take, and tells an entry at fault from a statement at fault. */
import type { DuckDBConnection } from '@duckdb/node-api';
import { type Clock, errorMessage, LIMITS, type Logger } from '../../base/index.ts';
import { sqlString } from '../database.ts';
import { storeFailure } from '../store-failures.ts';
import type { LiveState, UserLimits } from './live-state.ts';
import { RangeStopped, type RangeStop, RangeTooLarge, runRange } from './range-run.ts';
import type { ParsedStatement, ReadableView } from './statement.ts';
import type { IncompleteTables } from '../types.ts';
import type { UserProjectionStatus } from './types.ts';
import { lackOf, moveCheckpoint, type StoredVersion } from './versions.ts';

/** Statements that the database did not survive, by name and hash. */
export type VersionFaults = Map<string, string>;

export interface RunningVersionOptions {
  readonly stored: StoredVersion;
  readonly statement: ParsedStatement | null;
  readonly reason: string | null;
  /** What it was before the files were looked at. */
  readonly before: RunningVersion | null;
  readonly live: LiveState;
  readonly limits: UserLimits;
  readonly shouldStop: () => RangeStop | null;
  readonly inTurn: (work: () => Promise<void>) => Promise<void>;
  readonly onQuarantined: (entry: { offset: bigint; projection: string; reason: string }) => void;
  readonly faults: VersionFaults;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Before it is known what a range costs. */
const FIRST_ENTRIES = 64;
/** Ranges after a failure that do not grow: what it failed on may come again. */
const RANGES_OF_CARE = 16;

export class RunningVersion {
  #stored: StoredVersion;
  readonly #statement: ParsedStatement | null;
  readonly #options: RunningVersionOptions;
  #stopped: string | null;
  #entries: number;
  #failedInRow = 0;
  #careful = 0;
  #memoryFailures = 0;
  #retryAtMs: number | null = null;
  #retryReason: string | null = null;
  #rowsWritten: number;
  #quarantined: number;

  constructor(options: RunningVersionOptions) {
    const { stored, statement, reason, before, faults, limits } = options;
    this.#options = options;
    this.#stored = stored;
    this.#statement = statement;
    this.#stopped = reason ?? faults.get(faultKey(stored)) ?? null;
    this.#entries = before === null ? Math.min(FIRST_ENTRIES, limits.userRangeEntriesMax) : before.#entries;
    this.#rowsWritten = before === null ? 0 : before.#rowsWritten;
    this.#quarantined = before === null ? 0 : before.#quarantined;
  }

  get stored(): StoredVersion {
    return this.#stored;
  }

  /** Whether it has come to where the tables are that it reads. */
  get isCaughtUp(): boolean {
    return this.#stopped === null && this.#stored.nextOffset >= this.#bound();
  }

  /** Milliseconds until a failure is tried again; null when there is none. */
  get retryInMs(): number | null {
    if (this.#retryAtMs === null || this.#stopped !== null) return null;
    return Math.max(0, this.#retryAtMs - this.#options.clock.monotonicMs());
  }

  isOf({ name, version, hash }: StoredVersion): boolean {
    return this.#stored.name === name && this.#stored.version === version && this.#stored.hash === hash;
  }

  serves(): void {
    this.#stored = { ...this.#stored, state: 'serving' };
  }

  status(problem: string | null): UserProjectionStatus {
    const { name, version, state, description, nextOffset, targetOffset } = this.#stored;
    return {
      name,
      version,
      state: this.#stopped === null ? state : 'stopped',
      description,
      materializedOffset: nextOffset,
      complete: nextOffset >= targetOffset,
      targetOffset,
      rowsWritten: this.#rowsWritten,
      quarantined: this.#quarantined,
      error: this.#stopped ?? this.#retryReason ?? problem,
    };
  }

  /** What queries do not find in its table yet, or null. */
  get lack(): IncompleteTables | null {
    const firsts = this.#projections().map((name) => this.#options.live.firstOffset(name));
    return lackOf(
      this.#stored,
      firsts.reduce((most, offset) => (offset > most ? offset : most), 0n),
    );
  }

  /** Works on one range, if there is one. Throws when the database cannot go on as it is. */
  async step(connection: DuckDBConnection): Promise<boolean> {
    const { clock, live, inTurn } = this.#options;
    const statement = this.#statement;
    const bound = this.#bound();
    const from = this.#stored.nextOffset;
    if (statement === null || this.#stopped !== null || from >= bound || live.isStuck) return false;
    if (this.#retryAtMs !== null && clock.monotonicMs() < this.#retryAtMs) return false;
    const wanted = from + BigInt(this.#entries);
    const range = { from, to: wanted < bound ? wanted : bound };
    let failure: unknown = null;
    let tookMs = 0;
    await inTurn(async () => {
      const startMs = clock.monotonicMs();
      try {
        const rows = await runRange(connection, this.#stored, statement, range, this.#options);
        this.#succeeded(range.to, rows);
      } catch (error) {
        failure = error;
      }
      tookMs = clock.monotonicMs() - startMs;
    });
    if (failure !== null) return this.#failed(connection, range, failure);
    this.#resize(Number(range.to - range.from), tookMs);
    return true;
  }

  #bound(): bigint {
    const offsets = this.#projections().map((name) => this.#options.live.materializedOffset(name));
    return offsets.reduce((least, offset) => (offset < least ? offset : least), offsets[0] ?? 0n);
  }

  /** Those of the product that it reads; null: all of them. */
  #projections(): (string | null)[] {
    return (this.#statement?.views ?? []).map(projectionOf);
  }

  #succeeded(to: bigint, rows: number): void {
    this.#stored = { ...this.#stored, nextOffset: to };
    this.#rowsWritten += rows;
    this.#failedInRow = 0;
    this.#memoryFailures = 0;
    this.#retryAtMs = null;
    this.#retryReason = null;
  }

  #resize(entries: number, tookMs: number): void {
    const { userRangeEntriesMax, userRangeTargetMs } = this.#options.limits;
    if (tookMs > 2 * userRangeTargetMs) this.#entries = Math.max(1, Math.floor(entries / 2));
    else if (this.#careful > 0) this.#careful -= 1;
    else if (tookMs < userRangeTargetMs / 2 && entries >= this.#entries) {
      this.#entries = Math.min(userRangeEntriesMax, this.#entries * 2);
    }
  }

  async #failed(
    connection: DuckDBConnection,
    range: { readonly from: bigint; readonly to: bigint },
    error: unknown,
  ): Promise<boolean> {
    if (error instanceof RangeStopped && error.why === 'yield') return true;
    const reason = errorMessage(error);
    const entries = Number(range.to - range.from);
    const kind = failureOf(error);
    if (kind === 'lost') {
      if (/INTERNAL Error/i.test(reason)) this.#blame(reason);
      throw error;
    }
    if (kind === 'unavailable') {
      this.#retryLater(reason);
      return true;
    }
    if (kind === 'statement') {
      this.#stop(reason);
      return true;
    }
    this.#entries = Math.max(1, Math.floor(entries / 2));
    this.#careful = RANGES_OF_CARE;
    if (entries > 1) return true;
    if (kind === 'memory' && ++this.#memoryFailures < LIMITS.entryMemoryAttemptsMax) {
      this.#retryLater(reason);
      return true;
    }
    await this.#passBy(connection, range, reason);
    return true;
  }

  /** The entry is left out; so many in a row are not at fault themselves. */
  async #passBy(
    connection: DuckDBConnection,
    range: { readonly from: bigint; readonly to: bigint },
    failure: string,
  ): Promise<void> {
    const { limits, clock, logger, onQuarantined } = this.#options;
    const { name, version } = this.#stored;
    if (this.#failedInRow + 1 >= limits.userFailuresInRowMax) {
      this.#stop(`It failed on ${limits.userFailuresInRowMax} entries in a row: ${failure}`);
      return;
    }
    const reason = `Statement failed: ${failure}`
      .replaceAll('\0', '\u{fffd}')
      .slice(0, LIMITS.quarantineReasonCharsMax);
    const record = `(${range.from}, ${sqlString(name)}, ${version}, ${sqlString(reason)}, 0, make_timestamp_ns(${clock.nowUnixNano()}))`;
    await moveCheckpoint(connection, this.#stored, range.to, [`INSERT INTO meta.quarantine VALUES ${record}`]);
    const inRow = this.#failedInRow + 1;
    this.#succeeded(range.to, 0);
    this.#failedInRow = inRow;
    this.#quarantined += 1;
    onQuarantined({ offset: range.from, projection: name, reason });
    logger.warn('Projection failed on an entry', { projection: name, offset: range.from, reason });
  }

  #stop(reason: string): void {
    this.#stopped = reason;
    this.#options.logger.error('Projection stopped', { projection: this.#stored.name, reason });
  }

  /** The next database must not be lost to it too. */
  #blame(reason: string): void {
    this.#options.faults.set(faultKey(this.#stored), `The database was lost to it: ${reason}`);
  }

  #retryLater(reason: string): void {
    this.#retryAtMs = this.#options.clock.monotonicMs() + LIMITS.storeRetryMinMs * 8;
    this.#retryReason = reason;
  }
}

/** A projection that has a file, and no version. */
export function refusedStatus(name: string, error: string): UserProjectionStatus {
  return {
    name,
    version: 0,
    state: 'refused',
    description: null,
    materializedOffset: 0n,
    complete: true,
    targetOffset: 0n,
    rowsWritten: 0,
    quarantined: 0,
    error,
  };
}

type RangeFailure = 'lost' | 'unavailable' | 'memory' | 'statement' | 'data';

function failureOf(error: unknown): RangeFailure {
  if (error instanceof RangeTooLarge) return 'data';
  if (error instanceof RangeStopped) return 'memory';
  const message = errorMessage(error);
  if (/^(Binder|Catalog|Parser) Error/.test(message)) return 'statement';
  const kind = storeFailure(error);
  // Somebody else's transaction.
  if (kind === 'data' && message.startsWith('TransactionContext Error')) return 'unavailable';
  return kind === 'corrupt' ? 'lost' : kind;
}

/** The projection of the product that fills a view; null: all of them do. */
function projectionOf({ name }: ReadableView): string | null {
  if (/^(?:resources?|scopes?)(?:_|$)/.test(name)) return null;
  if (/^logs?(?:_|$)/.test(name)) return 'logs';
  return /^spans?(?:_|$)/.test(name) ? 'traces' : 'metrics';
}

function faultKey({ name, hash }: StoredVersion): string {
  return `${name} ${hash}`;
}
