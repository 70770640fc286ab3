/** The files of exporters: read at start, replaced whole, removed in two steps so that a crash in between is finished later. */
import { readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  errorMessage,
  LIMITS,
  makeFolder,
  removeFile,
  replaceFile,
  syncPath,
  TreasuryError,
  UNFINISHED_SUFFIX,
} from '../../base/index.ts';
import { isCursorName } from '../../log/index.ts';
import { type ExporterDefinition, exporterText, parseExporterJson, readExporter } from './exporter-config.ts';

/** A file of an exporter that cannot be run. */
export interface ExporterFault {
  /** In the folder of exporters. */
  readonly file: string;
  readonly reason: string;
}

export interface ExporterFiles {
  /** Where set-aside entries of an exporter are written. */
  setAsidePath(name: string): string;
  /** All that can be used, and why others cannot. Also the names of those whose removal was not finished. */
  load(): Promise<{
    readonly definitions: readonly ExporterDefinition[];
    readonly faults: readonly ExporterFault[];
    readonly removing: readonly string[];
  }>;
  /** Throws TREASURY_EXPORTER_UNWRITABLE. */
  save(definition: ExporterDefinition): Promise<void>;
  /** Whether an exporter is to stay paused when its cursor is lost. */
  isPaused(name: string): Promise<boolean>;
  /** Throws TREASURY_EXPORTER_UNWRITABLE. */
  setPaused(name: string, paused: boolean): Promise<void>;
  /** From then on the exporter is gone. Throws TREASURY_EXPORTER_UNWRITABLE. */
  beginRemoval(name: string): Promise<void>;
  /** Nothing of it is left but what was set aside. */
  endRemoval(name: string): Promise<void>;
}

/** Who has the header values of an exporter may send in its name. */
const SECRET_FILE_MODE = 0o600;

const SUFFIX = '.json';
const REMOVING_SUFFIX = '.removing';
const PAUSED_SUFFIX = '.paused';

/** The files in one folder, which is made with the first. */
export function createExporterFiles(directory: string): ExporterFiles {
  const pathOf = (name: string): string => join(directory, name + SUFFIX);
  const pausedPath = (name: string): string => join(directory, name + PAUSED_SUFFIX);

  async function load(): ReturnType<ExporterFiles['load']> {
    const definitions: ExporterDefinition[] = [];
    const faults: ExporterFault[] = [];
    const removing: string[] = [];
    const files = await filesOf(directory).catch((error: unknown) => {
      faults.push({ file: '.', reason: `Cannot read the folder of exporters: ${errorMessage(error)}` });
      return [];
    });
    for (const file of files) {
      if (file.startsWith('.') && file.endsWith(UNFINISHED_SUFFIX)) await unlink(join(directory, file)).catch(() => {});
      if (file.startsWith('.')) continue;
      if (file.endsWith(REMOVING_SUFFIX)) removing.push(basename(file, REMOVING_SUFFIX));
      if (!file.endsWith(SUFFIX)) continue;
      try {
        definitions.push(await readDefinition(join(directory, file), basename(file, SUFFIX)));
      } catch (error) {
        faults.push({ file, reason: errorMessage(error) });
      }
    }
    return { definitions, faults, removing };
  }

  async function written(name: string, write: () => Promise<void>): Promise<void> {
    try {
      await makeFolder(directory);
      await write();
    } catch (error) {
      const message = `Cannot write the file of exporter ${name}: ${errorMessage(error)}`;
      throw new TreasuryError('TREASURY_EXPORTER_UNWRITABLE', message, {
        cause: error,
        retryable: true,
        facts: { exporter: name },
      });
    }
  }

  return {
    setAsidePath: (name) => join(directory, `${name}.set-aside.jsonl`),
    load,
    save: (definition) => {
      const { name } = definition.config;
      return written(name, () => replaceFile(pathOf(name), exporterText(definition), SECRET_FILE_MODE));
    },
    isPaused: async (name) => (await stat(pausedPath(name)).catch(absentIsNull)) !== null,
    setPaused: (name, paused) =>
      written(name, () => (paused ? replaceFile(pausedPath(name), '') : removeFile(pausedPath(name)))),
    beginRemoval: (name) =>
      written(name, async () => {
        const removing = join(directory, name + REMOVING_SUFFIX);
        try {
          await rename(pathOf(name), removing);
          await syncPath(directory);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
          // Somebody took the file away while the exporter ran: its cursor is to go none the less.
          await replaceFile(removing, '');
        }
      }),
    endRemoval: (name) =>
      written(name, async () => {
        await removeFile(pausedPath(name));
        await removeFile(join(directory, name + REMOVING_SUFFIX));
      }),
  };
}

function absentIsNull(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}

async function filesOf(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function readDefinition(path: string, name: string): Promise<ExporterDefinition> {
  if (!isCursorName(name)) throw new Error(`Cannot use the name ${name}: it must be 1 to 63 of a-z, 0-9, _ and -`);
  const facts = await stat(path);
  // Opening a pipe waits for its other end.
  if (!facts.isFile()) throw new Error(`Cannot use exporter ${name}: it is no file`);
  if (facts.size > LIMITS.exporterConfigBytesMax) {
    throw new Error(`Cannot use exporter ${name}: it has more than ${LIMITS.exporterConfigBytesMax} bytes`);
  }
  return readExporter(name, parseExporterJson(name, await readFile(path, 'utf8')));
}
