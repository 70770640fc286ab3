/**
 * `npm run conformance:promql -- [--storage] FILE.test ... --parser FILE.json ...`: runs scripts in the format of Prometheus' promqltest over series in memory, or
 * with `--storage` over what a server receives as OTLP, logs, materializes and scans; compares verdicts of our parser with lists of upstream's; prints passed and
 * failed for each file, and exits 1 on a failure.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { MemorySource } from './memory-source.ts';
import { startMetricsServer } from './metrics-server.ts';
import { checkParserCases, readParserCases } from './parser-cases.ts';
import { runScript, type ScriptFailure, type ScriptStorage } from './run-script.ts';
import { StoredSource } from './stored-source.ts';

/** What one file came to. */
interface FileOutcome {
  readonly passed: number;
  readonly failed: number;
  readonly unsayable: number;
  /** Lines to print below. */
  readonly details: readonly string[];
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { parser: { type: 'string', multiple: true }, storage: { type: 'boolean' } },
  });
  const parser = values.parser ?? [];
  if (positionals.length + parser.length === 0) {
    process.stderr.write('Usage: npm run conformance:promql -- [--storage] FILE.test ... --parser FILE.json ...\n');
    return 2;
  }
  const server = values.storage === true && positionals.length > 0 ? await startMetricsServer() : undefined;
  try {
    const storage = server === undefined ? new MemorySource() : new StoredSource(server);
    const scripts = await printAll(positionals, (path) => runFile(path, storage));
    const verdicts = await printAll(parser, checkVerdicts);
    return scripts + verdicts === 0 ? 0 : 1;
  } finally {
    await server?.stop();
  }
}

/** Returns how many failed. */
async function printAll(paths: readonly string[], run: (path: string) => Promise<FileOutcome>): Promise<number> {
  let failed = 0;
  for (const path of paths) {
    const outcome = await run(path);
    failed += outcome.failed;
    const unsayable = outcome.unsayable === 0 ? '' : `, ${outcome.unsayable} not sayable in OTLP`;
    print(`${path}: ${outcome.passed} passed, ${outcome.failed} failed${unsayable}`);
    for (const line of outcome.details) print(`  ${line}`);
  }
  return failed;
}

/** A file that cannot be read or understood has failed as a whole. */
async function runFile(path: string, storage: ScriptStorage): Promise<FileOutcome> {
  try {
    const { passed, failures, unsayable } = await runScript(readFileSync(path, 'utf8'), storage);
    return {
      passed,
      failed: failures.length,
      unsayable: unsayable.length,
      details: [...failures.map(({ line, reason }) => `line ${line}: ${reason}`), ...byReason(unsayable)],
    };
  } catch (error) {
    return { passed: 0, failed: 1, unsayable: 0, details: [error instanceof Error ? error.message : String(error)] };
  }
}

function byReason(unsayable: readonly ScriptFailure[]): string[] {
  const lines = new Map<string, number[]>();
  for (const { line, reason } of unsayable) lines.set(reason, [...(lines.get(reason) ?? []), line]);
  return [...lines].map(([reason, at]) => `not sayable in OTLP: ${reason} (lines ${at.join(', ')})`);
}

async function checkVerdicts(path: string): Promise<FileOutcome> {
  const { passed, failures, disputed } = checkParserCases(readParserCases(path));
  return {
    passed,
    failed: failures.length,
    unsayable: 0,
    details: [
      ...failures.map(({ text, reason }) => `${JSON.stringify(text)}: ${reason}`),
      ...disputed.map((text) => `left out, for the list has another verdict than upstream: ${JSON.stringify(text)}`),
    ],
  };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
