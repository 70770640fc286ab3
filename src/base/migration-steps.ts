/**
 * Numbered SQL steps (`NNNN_name.sql`) of a database: read, checked against what a database says it has had. A step that was applied
 * never changes and never goes away; each owner of a database applies what is pending in its own way.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TreasuryError } from './errors.ts';

/** What a database keeps of a step that it has had. */
export interface AppliedStep {
  /** From 1 on, without gaps. */
  readonly version: number;
  readonly file: string;
  /** SHA-256 of the file in hex, line ends as LF. */
  readonly checksum: string;
}

export interface MigrationStep extends AppliedStep {
  readonly sql: string;
}

const STEP_NAME = /^(\d{4})_[a-z0-9_]+\.sql$/;

/** The steps of a folder in order. Throws TREASURY_MIGRATION when their numbers have a gap or a name is not a step's. */
export function readMigrationSteps(directory: string): MigrationStep[] {
  const files = readdirSync(directory).filter((name) => name.endsWith('.sql'));
  return files.toSorted().map((file, at) => {
    const version = Number(STEP_NAME.exec(file)?.[1]);
    if (version !== at + 1) {
      throw new TreasuryError('TREASURY_MIGRATION', `Cannot order the migrations: ${file} does not follow step ${at}`, {
        facts: { file },
      });
    }
    // Line ends are those of the checkout, not part of the step.
    const sql = readFileSync(join(directory, file), 'utf8').replaceAll('\r\n', '\n');
    return { version, file, sql, checksum: createHash('sha256').update(sql).digest('hex') };
  });
}

/**
 * The steps that a database still needs; `what` names it in messages. Throws TREASURY_MIGRATION when it has one that this release does
 * not know, or one that was changed since.
 */
export function pendingSteps(
  steps: readonly MigrationStep[],
  applied: readonly AppliedStep[],
  what: string,
): MigrationStep[] {
  for (const { version, file, checksum } of applied) {
    const step = steps[version - 1];
    if (step?.checksum === checksum) continue;
    throw new TreasuryError(
      'TREASURY_MIGRATION',
      step === undefined
        ? `Cannot use a ${what} of a later release: it has step ${file}, this release ends before`
        : `Cannot use ${step.file}: it was changed after it had been applied as ${file}`,
      { facts: { version, file: step?.file ?? file } },
    );
  }
  const had = new Set(applied.map(({ version }) => version));
  return steps.filter(({ version }) => !had.has(version));
}
