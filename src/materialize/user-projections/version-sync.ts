/** Brings the versions in the database to what the files say: new ones are made, those without a file dropped. */
import type { DuckDBConnection } from '@duckdb/node-api';
import { errorMessage, type Logger, TreasuryError } from '../../base/index.ts';
import { type DefinitionFile, definitionProblem, type FoundFiles, parseDefinition } from './definition-files.ts';
import type { ParsedStatement, ReadableView } from './statement.ts';
import { type UserDefinition, validateDefinition } from './validation.ts';
import { createVersion, dropVersions, renewText, type StoredVersion } from './versions.ts';

export interface SyncContext {
  readonly stored: readonly StoredVersion[];
  readonly readable: readonly ReadableView[];
  readonly reservedNames: readonly string[];
  /** The end of the log: new versions are complete when they have come there. */
  readonly durableOffset: bigint;
  readonly logger: Logger;
}

/** A version that is to run. */
export interface SyncedVersion {
  readonly stored: StoredVersion;
  /** Null when it cannot run any more. */
  readonly statement: ParsedStatement | null;
  /** Why it cannot. */
  readonly reason: string | null;
}

/** Returns all versions that remain and what is wrong with files. A file that is wrong leaves the versions of its name alone. */
export async function syncVersions(
  connection: DuckDBConnection,
  found: FoundFiles,
  context: SyncContext,
): Promise<{ readonly versions: readonly SyncedVersion[]; readonly problems: readonly TreasuryError[] }> {
  const { stored, logger } = context;
  const versions: SyncedVersion[] = [];
  const problems = [...found.problems];
  for (const name of new Set(stored.map((version) => version.name))) {
    if (found.names.has(name)) continue;
    const gone = stored.filter((version) => version.name === name);
    await dropVersions(connection, gone, { view: !isReserved(name, context) });
    logger.info('Projection dropped, as its file is gone', { projection: name });
  }
  for (const name of found.names) {
    const own = stored.filter((version) => version.name === name);
    if (own.length > 0 && isReserved(name, context)) {
      // Of a release that did not have the name yet: its view is the product's now.
      problems.push(reservedProblem(name));
      versions.push(
        ...own.map((version) => ({ stored: version, statement: null, reason: reservedProblem(name).message })),
      );
      continue;
    }
    const file = found.files.find((each) => each.name === name);
    let definition: UserDefinition | null = null;
    try {
      if (file !== undefined) definition = await checked(connection, file, context);
    } catch (error) {
      if (!(error instanceof TreasuryError)) throw error;
      problems.push(error);
    }
    versions.push(...(await syncOne(connection, definition, own, context)));
  }
  return { versions, problems };
}

async function checked(
  connection: DuckDBConnection,
  file: DefinitionFile,
  context: SyncContext,
): Promise<UserDefinition> {
  if (isReserved(file.name, context)) throw reservedProblem(file.name);
  return validateDefinition(connection, file, context.readable);
}

function reservedProblem(name: string): TreasuryError {
  return definitionProblem(`${name}.sql`, `Cannot name a projection "${name}": the product has one of that name`, null);
}

function isReserved(name: string, { readable, reservedNames }: SyncContext): boolean {
  return reservedNames.includes(name) || readable.some((view) => view.schema === 'main' && view.name === name);
}

async function syncOne(
  connection: DuckDBConnection,
  definition: UserDefinition | null,
  own: readonly StoredVersion[],
  context: SyncContext,
): Promise<SyncedVersion[]> {
  const kept = definition === null ? [...own] : await keepOrCreate(connection, definition, own, context);
  const versions: SyncedVersion[] = [];
  for (const stored of kept) {
    if (definition?.hash === stored.hash) {
      versions.push({ stored, statement: definition.statement, reason: null });
      continue;
    }
    try {
      const file = parseDefinition(`${stored.name}.sql`, stored.text);
      const { statement } = await validateDefinition(connection, file, context.readable);
      versions.push({ stored, statement, reason: null });
    } catch (error) {
      const reason = `Cannot go on with the text of version ${stored.version}: ${errorMessage(error)}`;
      versions.push({ stored, statement: null, reason });
    }
  }
  return versions;
}

async function keepOrCreate(
  connection: DuckDBConnection,
  definition: UserDefinition,
  own: readonly StoredVersion[],
  { durableOffset: targetOffset, logger }: SyncContext,
): Promise<StoredVersion[]> {
  const serving = own.find(({ state }) => state === 'serving');
  const same =
    serving?.hash === definition.hash
      ? serving
      : own.find(({ hash, state }) => state === 'building' && hash === definition.hash);
  // A version that was being built for a text that is gone again.
  const superseded = own.filter((version) => version.state === 'building' && version !== same);
  await dropVersions(connection, superseded, { view: false });
  const kept = own.filter((version) => !superseded.includes(version));
  if (same === undefined) {
    const last = own.reduce((most, { version }) => Math.max(most, version), 0);
    const state = serving === undefined ? 'serving' : 'building';
    const created = await createVersion(connection, definition, { version: last + 1, state, targetOffset });
    logger.info('Projection created', { projection: created.name, version: created.version, state });
    return [...kept, created];
  }
  if (same.text === definition.text) return kept;
  const renewed: StoredVersion = { ...same, text: definition.text, description: definition.description };
  await renewText(connection, same, renewed);
  return kept.map((version) => (version === same ? renewed : version));
}
