/** `treasury rebuild`: builds the tables anew from the log, beside the old ones, and switches at the end. */
import { constants, copyFileSync, existsSync, mkdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkLimits, createLogger, errorMessage, LIMITS, type Logger, TreasuryError } from '../base/index.ts';
import type { Config } from '../config.ts';
import { acquireDataDirectoryLock, type LogExtent, readLogExtent, readLogUuid } from '../log/index.ts';
import { type Engine, type EngineOptions, type EngineStatus, startEngine } from '../materialize/index.ts';
import { dataFolders } from '../treasury.ts';
import { createProgress, type Progress } from './progress.ts';
import { bytesText } from './quantity-text.ts';
import { rebuildLive } from './rebuild-live.ts';
import { removeLeftovers, switchTables, TABLES_FILE } from './tables-switch.ts';
import { writeOut } from './write-out.ts';

/**
 * Rebuilds all tables, or those of one projection. Whatever ends it, the old tables stay usable until the new ones are complete. Throws
 * TREASURY_DATA_DIRECTORY_LOCKED while a server uses the directory, TREASURY_STORE when the tables cannot be built.
 */
export async function rebuild(config: Config): Promise<number> {
  if (config.liveServer !== null) return rebuildLive(config.liveServer, config.projection);
  checkLimits();
  const folders = dataFolders(config.data);
  if (!existsSync(folders.log)) {
    throw new TreasuryError('TREASURY_CONFIG', `Cannot find a log in ${resolve(config.data)}`);
  }
  const lock = acquireDataDirectoryLock(resolve(config.data));
  try {
    rmSync(folders.rebuild, { recursive: true, force: true });
    mkdirSync(folders.rebuild, { recursive: true });
    removeLeftovers(folders.tables);
    const extent = readLogExtent(folders.log);
    const keepsOld = extent.firstOffset > 0n && existsSync(join(folders.tables, TABLES_FILE));
    if (keepsOld) {
      tell(
        `Entries below offset ${extent.firstOffset} are no longer in the log: the old tables, which may have rows of them, are kept`,
      );
    }
    checkSpace(folders.tables, extent);
    if (config.projection !== null) copyTables(folders);
    const status = await build(config, extent);
    const kept = switchTables({ tables: folders.tables, built: folders.rebuild, keepsOld });
    await writeOut(summary(status, kept));
    return 0;
  } finally {
    rmSync(folders.rebuild, { recursive: true, force: true });
    lock.release();
  }
}

/** Refuses what cannot end well: new tables of about the same size have to fit beside the old ones. */
function checkSpace(tables: string, { bytes }: LogExtent): void {
  const { bavail, bsize } = statfsSync(tables);
  const freeBytes = bavail * bsize;
  const oldBytes = tablesBytes(tables);
  if (freeBytes < oldBytes) {
    throw new TreasuryError(
      'TREASURY_STORE',
      `Cannot rebuild the tables: about ${bytesText(oldBytes)} are needed beside the old ones, ${bytesText(freeBytes)} are free. ` +
        `Free some, or delete ${join(tables, TABLES_FILE)} first`,
    );
  }
  if (oldBytes === 0 && freeBytes < bytes) {
    tell(`The disk may be too small: the log has ${bytesText(bytes)}, ${bytesText(freeBytes)} are free`);
  }
}

function tablesBytes(folder: string): number {
  const sizes = ['', '.wal'].map(
    (suffix) => statSync(join(folder, TABLES_FILE + suffix), { throwIfNoEntry: false })?.size ?? 0,
  );
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

/** The other projections' rows are taken over as they are. */
function copyTables({ tables, rebuild: folder }: ReturnType<typeof dataFolders>): void {
  for (const suffix of ['', '.wal']) {
    const from = join(tables, TABLES_FILE + suffix);
    if (existsSync(from)) copyFileSync(from, join(folder, TABLES_FILE + suffix), constants.COPYFILE_FICLONE);
  }
}

async function build(config: Config, extent: LogExtent): Promise<EngineStatus> {
  const folders = dataFolders(config.data);
  const logUuid = readLogUuid(folders.log);
  if (logUuid === null) {
    throw new TreasuryError('TREASURY_CONFIG', `Cannot rebuild the tables: the log in ${folders.log} holds no segment`);
  }
  const progress = createProgress({ verb: 'Rebuilt', amountText: (entries) => `${entries} entries` });
  const logger = createLogger({
    format: 'text',
    level: 'warn',
    write: (line) => {
      progress.clear();
      process.stderr.write(line);
    },
  });
  const options: EngineOptions = {
    logDirectory: folders.log,
    tablesDirectory: folders.rebuild,
    logUuid,
    memoryLimitMb: config.memoryLimitMb,
    threads: config.threads,
    durable: extent.durable,
  };
  const { projection } = config;
  let engine: Engine | null = null;
  try {
    engine = await startEngine({ ...options, ...(projection === null ? {} : { rebuild: [projection] }) }, logger);
    const status = await untilBuilt(engine, extent, progress);
    await engine.stop();
    await closeCleanly(options, logger);
    progress.end();
    return status;
  } catch (error) {
    progress.clear();
    await engine?.stop();
    throw new TreasuryError(
      'TREASURY_STORE',
      `Cannot rebuild the tables, the old ones are as they were: ${errorMessage(error)}`,
      { cause: error },
    );
  }
}

const POLL_INTERVAL_MS = 200;
const NO_SPACE = /no space left|disk full|ENOSPC|EDQUOT|quota exceeded/i;

async function untilBuilt(engine: Engine, extent: LogExtent, progress: Progress): Promise<EngineStatus> {
  const { firstOffset, durable } = extent;
  const total = Number(durable.durableOffset - firstOffset);
  let reached = -1n;
  let reachedAtMs = performance.now();
  for (;;) {
    const status = await engine.status();
    const { materializedOffset, stuck } = status;
    const done = Math.max(0, Number(materializedOffset - firstOffset));
    progress.at(done, total, `offset ${materializedOffset}`);
    if (materializedOffset >= durable.durableOffset && stuck === null) return status;
    if (stuck === null || materializedOffset > reached) reachedAtMs = performance.now();
    reached = materializedOffset;
    if (stuck !== null && (NO_SPACE.test(stuck) || performance.now() - reachedAtMs > LIMITS.rebuildStuckMaxMs)) {
      throw new Error(stuck);
    }
    await Promise.race([sleep(POLL_INTERVAL_MS), engine.failed.then((error) => Promise.reject(error))]);
  }
}

/** An engine that was ended by force leaves a write-ahead log, which is not switched with its tables: it is worked in here. */
async function closeCleanly(options: EngineOptions, logger: Logger): Promise<void> {
  const wal = join(options.tablesDirectory, `${TABLES_FILE}.wal`);
  if (!existsSync(wal)) return;
  const engine = await startEngine({ ...options, materialize: false }, logger);
  await engine.stop();
  if (existsSync(wal)) throw new Error(`The new tables did not close: ${wal} is left`);
}

function summary({ rowsWritten, quarantinedTotal, tableBytes }: EngineStatus, kept: string | null): string {
  const quarantined = quarantinedTotal === 0 ? '' : `, ${quarantinedTotal} entries quarantined`;
  const old = kept === null ? '' : `The old tables are kept: ${kept}\n`;
  return `The tables are built anew: ${rowsWritten} rows, ${bytesText(tableBytes)}${quarantined}\n${old}`;
}

function tell(message: string): void {
  process.stderr.write(`treasury: ${message}\n`);
}
