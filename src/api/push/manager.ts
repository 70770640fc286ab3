/**
 * Exporters: their configuration, their places in the log and the thread that drives them. One change of an exporter at a time; what is
 * answered is on the disk.
 */
import {
  errorMessage,
  type Logger,
  LIMITS,
  silentLogger,
  systemClock,
  type Clock,
  TreasuryError,
} from '../../base/index.ts';
import { type Cursor, type Cursors, isCursorName, type RetainedLog, refuseOffset } from '../../log/index.ts';
import { createExporter, type Exporter, type ExporterStatus } from './exporter.ts';
import { changedFields, type ExporterDefinition, type ExporterFrom, readExporter } from './exporter-config.ts';
import { createExporterFiles, type ExporterFault } from './exporter-files.ts';
import { createLagClock } from './lag-clock.ts';
import { type OffsetAtTime, offsetOfPlace } from './log-place.ts';
import { createPushThread, type PushThreadLimits } from './push-thread.ts';
import type { ExporterConfig, PushEvent, PushWorker } from './types.ts';

export interface ExportersStatus {
  readonly exporters: readonly ExporterStatus[];
  /** Files in the folder that are no exporters. */
  readonly faults: readonly ExporterFault[];
  /** Why nothing is sent, or null. */
  readonly down: string | null;
  readonly workerRestarts: number;
}

export interface ExporterManager {
  status(): ExportersStatus;
  /** Throws TREASURY_EXPORTER_UNKNOWN. */
  get(name: string): ExporterStatus;
  has(name: string): boolean;
  /**
   * Makes an exporter, or gives one that is there another configuration: it goes on where it was. `onlyNew`: refuses one that is there.
   * Throws TREASURY_EXPORTER_INVALID, TREASURY_CURSOR_EXISTS, TREASURY_CURSOR_NAME, OffsetOutOfRangeError.
   */
  put(name: string, value: unknown, options?: { readonly onlyNew?: boolean }): Promise<ExporterStatus>;
  pause(name: string): Promise<ExporterStatus>;
  /** Also begins anew with one that has failed. */
  resume(name: string): Promise<ExporterStatus>;
  /** Goes on from another place: `start`, `end`, an offset or a time. */
  rewind(name: string, to: ExporterFrom): Promise<ExporterStatus>;
  /** Another exporter at the same place, configured like it but for `changes`. */
  fork(name: string, as: string, changes?: Readonly<Record<string, unknown>>): Promise<ExporterStatus>;
  remove(name: string): Promise<void>;
  /** Ends all exporters' connections and makes their places durable. Never rejects. */
  stop(): Promise<void>;
}

export interface ExporterManagerOptions {
  /** `exporters/` of the data directory. */
  readonly directory: string;
  readonly cursors: Cursors;
  readonly log: Pick<RetainedLog, 'status' | 'onDurable'>;
  readonly startWorker: (onEvent: (event: PushEvent) => void) => PushWorker;
  readonly offsetAtTime: OffsetAtTime;
  /** Exporters that the command line asks for: they win over files of the same name. */
  readonly wanted?: readonly ExporterDefinition[];
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly limits?: PushThreadLimits;
}

/**
 * Loads the exporters of a data directory and begins to send. What cannot be loaded is told, and the others run. Rejects with what the
 * system says of the folder, and with what is wrong with a wanted exporter.
 */
export async function createExporterManager(options: ExporterManagerOptions): Promise<ExporterManager> {
  const manager = new Manager(options);
  await manager.load(options.wanted ?? []);
  return manager;
}

class Manager implements ExporterManager {
  readonly #options: ExporterManagerOptions;
  readonly #log: ExporterManagerOptions['log'];
  readonly #cursors: Cursors;
  readonly #logger: Logger;
  readonly #files;
  readonly #thread;
  readonly #lag;
  readonly #exporters = new Map<string, Exporter>();
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #ends: (() => void)[] = [];
  #faults: readonly ExporterFault[] = [];
  #isStopping = false;

  constructor(options: ExporterManagerOptions) {
    const { directory, log, cursors, startWorker, limits, logger = silentLogger, clock = systemClock } = options;
    this.#options = options;
    this.#log = log;
    this.#cursors = cursors;
    this.#logger = logger;
    this.#files = createExporterFiles(directory);
    this.#lag = createLagClock(clock, log.status().durableOffset);
    this.#thread = createPushThread({
      startWorker,
      durable: () => log.status(),
      onEvent: (event) => {
        this.#exporters.get(event.type === 'progress' ? event.progress.name : event.name)?.take(event);
      },
      onLost: (reason) => {
        for (const exporter of this.#exporters.values()) exporter.lost(reason);
      },
      logger,
      ...(limits === undefined ? {} : { limits }),
    });
  }

  async load(wanted: readonly ExporterDefinition[]): Promise<void> {
    const { definitions, faults, removing } = await this.#files.load();
    for (const { file, reason } of faults) this.#fault(file, reason);
    for (const name of removing) {
      await this.#endRemoval(name).catch((error: unknown) => this.#fault(`${name}.removing`, errorMessage(error)));
    }
    for (const definition of definitions) {
      await this.#open(definition).catch((error: unknown) => this.#fault(fileOf(definition), errorMessage(error)));
    }
    for (const definition of wanted) {
      await this.#want(definition).catch((error: unknown) => {
        // A disk that takes no file now is no mistake in the command line.
        if (!(error instanceof TreasuryError && error.retryable)) throw error;
        this.#fault(fileOf(definition), errorMessage(error));
      });
    }
    this.#ends.push(
      this.#log.onDurable(({ durableOffset }) => {
        this.#lag.note(durableOffset);
        this.#thread.advance();
      }),
    );
    for (const exporter of this.#exporters.values()) exporter.run();
  }

  status(): ExportersStatus {
    const log = this.#log.status();
    return {
      exporters: [...this.#exporters.values()]
        .map((exporter) => exporter.status(log))
        .toSorted((one, other) => (one.config.name < other.config.name ? -1 : 1)),
      faults: this.#faults,
      down: this.#thread.down,
      workerRestarts: this.#thread.restarts,
    };
  }

  get(name: string): ExporterStatus {
    return this.#known(name).status(this.#log.status());
  }

  has(name: string): boolean {
    return this.#exporters.has(name);
  }

  put(name: string, value: unknown, { onlyNew = false } = {}): Promise<ExporterStatus> {
    return this.#inTurn(name, async () => {
      refuseName(name);
      const current = this.#exporters.get(name);
      const definition = readExporter(name, value, current?.config ?? null);
      if (current !== undefined && onlyNew) throw exists(name);
      if (current === undefined) return this.#create(definition);
      if (definition.from !== null) throw fromOfKnown(name);
      await this.#configure(current, definition.config);
      return this.get(name);
    });
  }

  pause(name: string): Promise<ExporterStatus> {
    // Where its cursor is lost, its file says that it is to stay paused: so that comes first, and goes last.
    return this.#change(name, async ({ cursor }) => {
      await this.#files.setPaused(name, true);
      await cursor.setPaused(true);
    });
  }

  resume(name: string): Promise<ExporterStatus> {
    return this.#change(name, async ({ cursor }) => {
      await cursor.setPaused(false);
      await this.#files.setPaused(name, false);
    });
  }

  rewind(name: string, to: ExporterFrom): Promise<ExporterStatus> {
    return this.#inTurn(name, async () => {
      this.#known(name);
      const offset = await this.#offsetOf(name, to);
      refuseOffset(offset, this.#log);
      return this.#halted(name, ({ cursor }) => cursor.seek(offset));
    });
  }

  fork(name: string, as: string, changes: Readonly<Record<string, unknown>> = {}): Promise<ExporterStatus> {
    return this.#inTurn(as, async () => {
      refuseName(as);
      const source = this.#known(name);
      if (this.has(as)) throw exists(as);
      const { config } = readExporter(as, { ...source.config, ...changes, name: as }, source.config);
      const { firstOffset } = this.#log.status();
      const { offset } = source.cursor.status;
      return this.#create({ config, from: String(offset < firstOffset ? firstOffset : offset) });
    });
  }

  remove(name: string): Promise<void> {
    return this.#inTurn(name, async () => {
      const exporter = this.#exporters.get(name);
      const isFaulty = this.#faults.some(({ file }) => file === `${name}.json`);
      if (!isFaulty) this.#known(name);
      await this.#files.beginRemoval(name);
      await exporter?.halt();
      this.#exporters.delete(name);
      this.#forgetFault(name);
      await this.#endRemoval(name);
    });
  }

  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    for (const end of this.#ends) end();
    await Promise.allSettled(this.#turns.values());
    await this.#thread.close();
    for (const exporter of this.#exporters.values()) await exporter.halt();
    await Promise.allSettled([...this.#exporters.values()].map(({ cursor }) => cursor.flush()));
  }

  /** Changes of one exporter come one after the other. */
  #inTurn<Result>(name: string, job: () => Promise<Result>): Promise<Result> {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(() => {
      if (this.#isStopping) throw stopping();
      return job();
    });
    const settled = turn
      .catch(() => {})
      .finally(() => {
        if (this.#turns.get(name) === settled) this.#turns.delete(name);
      });
    this.#turns.set(name, settled);
    return turn;
  }

  #change(name: string, change: (exporter: Exporter) => Promise<void>): Promise<ExporterStatus> {
    return this.#inTurn(name, () => this.#halted(name, change));
  }

  /** Stops it, changes it, lets it go on, whether the change succeeded or not. */
  async #halted(name: string, change: (exporter: Exporter) => Promise<void>): Promise<ExporterStatus> {
    const exporter = this.#known(name);
    await exporter.halt();
    try {
      await change(exporter);
    } finally {
      exporter.run();
    }
    return this.get(name);
  }

  async #configure(exporter: Exporter, config: ExporterConfig): Promise<void> {
    const { name } = config;
    await this.#files.save({ config, from: exporter.from });
    await this.#halted(name, async () => {
      exporter.config = config;
      await exporter.cursor.setPolicy(config.retention ?? 'drop');
    });
  }

  async #create(definition: ExporterDefinition): Promise<ExporterStatus> {
    const { name } = definition.config;
    const isFaulty = this.#faults.some(({ file }) => file === fileOf(definition));
    const cursor = this.#cursors.get(name);
    const from = definition.from ?? (isFaulty && cursor !== null ? String(cursor.status.offset) : 'end');
    const offset = await this.#offsetOf(name, from);
    if (definition.from !== null || !isFaulty) refuseOffset(offset, this.#log);
    if (cursor !== null && !isFaulty) {
      throw new TreasuryError('TREASURY_CURSOR_EXISTS', `Cannot create exporter ${name}: a cursor has that name`, {
        facts: { cursor: name },
      });
    }
    if (cursor === null && this.#cursors.list().length >= LIMITS.cursorsMax) {
      throw new TreasuryError(
        'TREASURY_CURSOR_LIMIT',
        `Cannot create exporter ${name}: there are ${LIMITS.cursorsMax} cursors`,
      );
    }
    // The file first: with it alone a start makes the cursor; with the cursor alone nobody would move it.
    const resolved = { ...definition, from: String(offset) };
    await this.#files.save(resolved);
    const exporter = await this.#openNew(resolved);
    if (cursor !== null && definition.from !== null) await cursor.seek(offset);
    this.#forgetFault(name);
    exporter.run();
    return this.get(name);
  }

  async #openNew(definition: ExporterDefinition): Promise<Exporter> {
    try {
      return await this.#open(definition);
    } catch (error) {
      const { name } = definition.config;
      await this.#files.beginRemoval(name);
      await this.#files.endRemoval(name);
      throw error;
    }
  }

  async #open(definition: ExporterDefinition): Promise<Exporter> {
    const { name } = definition.config;
    const paused = await this.#files.isPaused(name);
    const cursor = this.#cursors.get(name) ?? (await this.#makeCursor(definition, paused));
    // A crash between the two, or an earlier release: the cursor is right.
    if (paused !== cursor.status.paused) await this.#files.setPaused(name, cursor.status.paused);
    const policy = definition.config.retention ?? 'drop';
    if (cursor.status.policy !== policy) await cursor.setPolicy(policy);
    const exporter = createExporter(definition, {
      cursor,
      thread: this.#thread,
      lag: this.#lag,
      setAsidePath: this.#files.setAsidePath(name),
      logger: this.#logger,
    });
    this.#exporters.set(name, exporter);
    return exporter;
  }

  /** Where an exporter begins that has no place. One that had one sends again rather than leave something out. */
  async #makeCursor({ config, from }: ExporterDefinition, paused: boolean): Promise<Cursor> {
    const { name, retention } = config;
    const { firstOffset } = this.#log.status();
    const damaged = this.#cursors.damaged.some((each) => each.name === name);
    const isOffset = from !== null && /^\d+$/.test(from);
    const asked = damaged && !isOffset ? firstOffset : await this.#offsetOf(name, from ?? 'end');
    const isGone = asked < firstOffset || (damaged && asked > this.#log.status().durableOffset);
    const offset = isGone ? firstOffset : asked;
    if (damaged) this.#logger.warn('An exporter lost its place and sends again', { exporter: name, offset, paused });
    return this.#cursors.create(name, { offset, policy: retention ?? 'drop', paused });
  }

  async #want({ config, from }: ExporterDefinition): Promise<void> {
    const current = this.#exporters.get(config.name);
    if (current === undefined) {
      await this.#create({ config, from });
      return;
    }
    const fields = changedFields(current.config, config);
    if (fields.length === 0) return;
    this.#logger.warn('An exporter is configured as its flag says, not as its file did', {
      exporter: config.name,
      fields: fields.join(', '),
    });
    await this.#configure(current, config);
  }

  async #offsetOf(name: string, from: ExporterFrom): Promise<bigint> {
    const offset = await offsetOfPlace(from, this.#options);
    if (offset !== null) return offset;
    const message = `Cannot use from of exporter ${name}: it must be start, end, an offset or a time, value is ${JSON.stringify(from)}`;
    throw new TreasuryError('TREASURY_EXPORTER_INVALID', message, { facts: { exporter: name, field: 'from' } });
  }

  #known(name: string): Exporter {
    const exporter = this.#exporters.get(name);
    if (exporter !== undefined) return exporter;
    const fault = this.#faults.find(({ file }) => file === `${name}.json`);
    const why = fault === undefined ? '' : `: its file cannot be used (${fault.reason})`;
    throw new TreasuryError('TREASURY_EXPORTER_UNKNOWN', `Cannot find exporter ${name}${why}`, {
      facts: { exporter: name },
    });
  }

  #fault(file: string, reason: string): void {
    this.#faults = [...this.#faults, { file, reason }];
    this.#logger.error('An exporter cannot be used', { file, reason });
  }

  #forgetFault(name: string): void {
    this.#faults = this.#faults.filter(({ file }) => file !== `${name}.json`);
  }

  async #endRemoval(name: string): Promise<void> {
    if (isCursorName(name) && this.#cursors.get(name) !== null) await this.#cursors.remove(name);
    await this.#files.endRemoval(name);
  }
}

function fileOf({ config }: ExporterDefinition): string {
  return `${config.name}.json`;
}

function refuseName(name: string): void {
  if (isCursorName(name)) return;
  throw new TreasuryError(
    'TREASURY_CURSOR_NAME',
    `Cannot use the name ${JSON.stringify(name.slice(0, 100))}: it must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit`,
  );
}

function exists(name: string): TreasuryError {
  return new TreasuryError('TREASURY_CURSOR_EXISTS', `Cannot create exporter ${name}: it exists`, {
    facts: { exporter: name },
  });
}

function fromOfKnown(name: string): TreasuryError {
  return new TreasuryError(
    'TREASURY_EXPORTER_INVALID',
    `Cannot use from of exporter ${name}: it exists and goes on where it is; rewind moves it`,
    { facts: { exporter: name, field: 'from' } },
  );
}

function stopping(): TreasuryError {
  return new TreasuryError('TREASURY_EXPORTER_UNWRITABLE', 'Cannot change exporters: the server is stopping', {
    retryable: true,
  });
}
