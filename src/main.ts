#!/usr/bin/env node
/** The `treasury` command: understands its line, runs the command, ends with its exit code. */
import { keepYoungHeapSmall } from './v8-flags.ts';
import { errorMessage, TreasuryError, VERSION } from './base/index.ts';
import { type CommandLine, parseCommandLine } from './config.ts';

/** Exit codes: 2 for a line that cannot be understood, 1 for everything else that fails. */
const EXIT = { OK: 0, FAILED: 1, USAGE: 2 } as const;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  let line: CommandLine;
  try {
    line = parseCommandLine(argv);
  } catch (error) {
    process.stderr.write(`treasury: ${errorMessage(error)}\n`);
    return EXIT.USAGE;
  }
  try {
    return await run(line);
  } catch (error) {
    if (!(error instanceof TreasuryError || isSystemError(error))) throw error;
    const where = error instanceof TreasuryError ? '' : `Cannot work on data directory ${dataOf(line)}: `;
    process.stderr.write(`treasury: ${where}${error.message}\n`);
    return EXIT.FAILED;
  }
}

function dataOf(line: CommandLine): string {
  return line.kind === 'command' ? line.config.data : '';
}

/** What the operating system or SQLite says about a disk or a directory: no bug of ours, so its message tells more than a stack. */
function isSystemError(error: unknown): error is Error {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return 'syscall' in error || String(error.code).startsWith('SQLITE_');
}

/** Commands are loaded when they are run: a client command starts no server code. */
async function run(line: CommandLine): Promise<number> {
  if (line.kind === 'help') return print(line.text);
  if (line.kind === 'version') return print(`otelarrow-treasury ${VERSION}\n`);
  const { config, arguments: values } = line;
  switch (line.name) {
    case 'serve':
      keepYoungHeapSmall();
      return (await import('./commands/serve.ts')).serve(config);
    case 'sql':
      return (await import('./commands/sql.ts')).sql(values[0] as string, config);
    case 'status':
      return (await import('./commands/status.ts')).status(config);
    case 'log':
      return (await import('./commands/log.ts')).log(values, config);
    case 'pull':
      return (await import('./commands/pull.ts')).pull(values, config);
    case 'push':
      return (await import('./commands/push.ts')).push(values, config);
    case 'rebuild':
      return (await import('./commands/rebuild.ts')).rebuild(config);
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return EXIT.OK;
}
