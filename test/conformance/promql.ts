/**
 * `npm run conformance:promql -- --parser FILE.json ...`: compares verdicts of our parser with lists of upstream's, prints passed and failed for
 * each file, and exits 1 on a failure.
 */
import { parseArgs } from 'node:util';
import { checkParserCases, readParserCases } from './parser-cases.ts';

/** What one file came to. */
interface FileOutcome {
  readonly passed: number;
  readonly failed: number;
  /** Lines to print below. */
  readonly details: readonly string[];
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { parser: { type: 'string', multiple: true } } });
  const runs = (values.parser ?? []).map((path) => ({ path, run: () => checkVerdicts(path) }));
  if (runs.length === 0) {
    process.stderr.write('Usage: npm run conformance:promql -- --parser FILE.json ...\n');
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
