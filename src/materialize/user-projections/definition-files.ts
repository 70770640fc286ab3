/** The files `projections/NAME.sql`: names, sizes, the comment lines at the head. What the statement says is `statement.ts`'s. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage, LIMITS, TreasuryError } from '../../base/index.ts';
import { positionOf, type TextPosition } from './positions.ts';

/** A file as it stands. */
export interface DefinitionFile {
  readonly name: string;
  /** Its name in the folder. */
  readonly file: string;
  readonly text: string;
  /** Of `-- description: …`. */
  readonly description: string | null;
  /** Of `-- time: …`. */
  readonly time: { readonly column: string; readonly position: TextPosition } | null;
}

export interface FoundFiles {
  readonly files: readonly DefinitionFile[];
  /** Of files that cannot be used: TREASURY_QUERY_INVALID with the file, and the line and column where there is one. */
  readonly problems: readonly TreasuryError[];
  /** Names that have a file, a usable one or not. */
  readonly names: ReadonlySet<string>;
}

const EXTENSION = '.sql';
const NAME = /^[a-z_][a-z0-9_]{0,62}$/;

/** Reads the folder; one that is not there has no files. Throws TREASURY_STORE when it cannot be read. */
export async function readDefinitionFiles(directory: string): Promise<FoundFiles> {
  const files: DefinitionFile[] = [];
  const problems: TreasuryError[] = [];
  const names = new Set<string>();
  for (const file of await sqlFiles(directory)) {
    const name = file.slice(0, -EXTENSION.length);
    names.add(name);
    try {
      if (names.size > LIMITS.userProjectionsMax) {
        throw definitionProblem(file, `there are more than ${LIMITS.userProjectionsMax} files`, null);
      }
      files.push(parseDefinition(file, await readText(directory, file)));
    } catch (error) {
      problems.push(error instanceof TreasuryError ? error : definitionProblem(file, errorMessage(error), null));
    }
  }
  return { files, problems, names };
}

/** What is wrong in a file, and where. The message begins with the place, as those of compilers do. */
export function definitionProblem(file: string, reason: string, position: TextPosition | null): TreasuryError {
  const place = position === null ? file : `${file}:${position.line}:${position.column}`;
  const facts = position === null ? { file } : { file, line: position.line, column: position.column };
  return new TreasuryError('TREASURY_QUERY_INVALID', `${place}: ${reason}`, { facts });
}

/** A file's name and its head: comment lines before the statement, of which `-- key: value` say something. */
export function parseDefinition(file: string, text: string): DefinitionFile {
  const name = file.slice(0, -EXTENSION.length);
  if (!NAME.test(name)) {
    const allowed = 'lower-case letters, digits and _, not a digit first, 63 at most';
    throw definitionProblem(file, `Cannot name a projection "${name}": allowed are ${allowed}`, null);
  }
  let description: string | null = null;
  let time: DefinitionFile['time'] = null;
  let at = 0;
  for (const line of text.split('\n')) {
    if (line.trim() !== '' && !line.trimStart().startsWith('--')) break;
    const found = /^(\s*--\s*)([a-z_]+):(\s*)(.*?)\s*$/.exec(line);
    if (found !== null) {
      const [, head = '', key = '', space = '', value = ''] = found;
      const position = positionOf(text, at + head.length);
      if (value === '') throw definitionProblem(file, `Header ${key} has no value`, position);
      if (key === 'description' && description === null) description = value;
      else if (key === 'time' && time === null) {
        time = { column: value, position: positionOf(text, at + head.length + key.length + 1 + space.length) };
      } else if (key === 'description' || key === 'time') {
        throw definitionProblem(file, `Header ${key} is there twice`, position);
      } else {
        throw definitionProblem(file, `Unknown header "${key}": there are description and time`, position);
      }
    }
    at += line.length + 1;
  }
  return { name, file, text, description, time };
}

async function sqlFiles(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory);
    return entries.filter((file) => file.endsWith(EXTENSION) && !file.startsWith('.')).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new TreasuryError('TREASURY_STORE', `Cannot read the projections: ${errorMessage(error)}`, { cause: error });
  }
}

async function readText(directory: string, file: string): Promise<string> {
  const path = join(directory, file);
  const found = await stat(path);
  if (!found.isFile()) throw definitionProblem(file, 'Cannot read it: it is no file', null);
  const max = LIMITS.userProjectionTextBytesMax;
  if (found.size > max) throw definitionProblem(file, `Cannot read it: ${found.size} bytes are more than ${max}`, null);
  const bytes = await readFile(path);
  const text = bytes.toString('utf8').replaceAll('\r\n', '\n');
  if (!Buffer.from(text, 'utf8').equals(Buffer.from(bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1'))) {
    throw definitionProblem(file, 'Cannot read it: it is not UTF-8', null);
  }
  return text.startsWith('\u{feff}') ? text.slice(1) : text;
}
