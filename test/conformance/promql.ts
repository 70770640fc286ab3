/**
 * `npm run conformance:promql -- FILE.test ... --parser FILE.json ...`: runs scripts in the format of Prometheus' promqltest over series in memory, compares verdicts
 * of our parser with lists of upstream's, prints passed and failed for each file, and exits 1 on a failure.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { MemorySource } from './memory-source.ts';
import { checkParserCases, readParserCases } from './parser-cases.ts';
import { runScript } from './run-script.ts';

/** What one file came to. */
interface FileOutcome {
  readonly passed: number;
  readonly failed: number;
  /** Lines to print below. */
  readonly details: readonly string[];
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { parser: { type: 'string', multiple: true } },
  });
  const runs = [
    ...positionals.map((path) => ({ path, run: () => runFile(path) })),
    ...(values.parser ?? []).map((path) => ({ path, run: () => checkVerdicts(path) })),
  ];
  if (runs.length === 0) {
    process.stderr.write('Usage: npm run conformance:promql -- FILE.test ... --parser FILE.json ...\n');
    return 2;
  }
  let failed = 0;
  for (const { path, run } of runs) {
    const outcome = await run();
    failed += outcome.failed;
    print(`${path}: ${outcome.passed} passed, ${outcome.failed} failed`);
    for (const line of outcome.details) print(`  ${line}`);
  }
  return failed === 0 ? 0 : 1;
}

/** A file that cannot be read or understood has failed as a whole. */
async function runFile(path: string): Promise<FileOutcome> {
  const source = new MemorySource();
  const storage = {
    source,
    load: async (command: Parameters<MemorySource['load']>[0]) => source.load(command),
    clear: async () => source.clear(),
  };
  try {
    const { passed, failures } = await runScript(readFileSync(path, 'utf8'), storage);
    return { passed, failed: failures.length, details: failures.map(({ line, reason }) => `line ${line}: ${reason}`) };
  } catch (error) {
    return { passed: 0, failed: 1, details: [error instanceof Error ? error.message : String(error)] };
  }
}

async function checkVerdicts(path: string): Promise<FileOutcome> {
  const { passed, failures, disputed } = checkParserCases(readParserCases(path));
  return {
    passed,
    failed: failures.length,
    details: [
      ...failures.map(({ text, reason }) => `${JSON.stringify(text)}: ${reason}`),
      ...disputed.map((text) => `left out, for the list has another verdict than upstream: ${JSON.stringify(text)}`),
    ],
  };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
