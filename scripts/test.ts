/**
 * Runs test files on node:test: all of test/, or those whose path contains one of the arguments. Fails when no file matches and
 * when a listed file ran no test, so that a green run means that every file was there and tested something. Runs what is built of the
 * files as they are at the start; names, lines and stack traces are those of the sources.
 *
 *   npm test                       everything
 *   npm test -- log/ otap/hpack    files whose path contains one of these
 *   npm run test:interop           the same for *.interop.ts: real Collectors, built with Go
 */
import { setMaxListeners } from 'node:events';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { buildTests } from './built-tests.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
/** The slowest file (kill -9 rounds) takes a few minutes on two cores; a hang ends here. */
const FILE_TIMEOUT_MS = 15 * 60_000;

const arguments_ = process.argv.slice(2);
const suffix = arguments_.includes('--interop') ? '.interop.ts' : '.test.ts';
const wanted = arguments_.filter((argument) => argument !== '--interop');
const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith(suffix))
  .map((file) => join(root, 'test', file))
  .filter((file) => wanted.length === 0 || wanted.some((part) => relative(root, file).includes(part)))
  .toSorted();
if (files.length === 0) {
  console.error(`Cannot run tests: no file under test/ matches ${wanted.join(' ') || `*${suffix}`}`);
  process.exit(1);
}

const stopped = new AbortController();
// The runner listens for each file, and for itself.
setMaxListeners(files.length + 1, stopped.signal);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort());
const built = buildTests(root);
process.once('exit', () => built.remove());
if (built.errors !== '') {
  // A half-written file elsewhere need not hold up a test, but such a run is not green.
  console.error(`Cannot build all of the sources:\n${built.errors}`);
  process.exitCode = 1;
}
const builtFiles = files.map((file) => join(built.directory, relative(root, file).replace(/\.ts$/, '.js')));

const testsByFile = new Map<string, number>();
const totals = { passed: 0, failed: 0, skipped: 0 };
// Test files get these flags: not the loader that this file needs.
process.execArgv.splice(0, process.execArgv.length, '--enable-source-maps');
const stream = run({
  files: builtFiles,
  concurrency: availableParallelism(),
  timeout: FILE_TIMEOUT_MS,
  signal: stopped.signal,
});
stream.on('test:fail', (event) => count(event, false));
stream.on('test:pass', (event) => count(event, true));
stream.compose(new spec()).pipe(process.stdout);
stream.on('end', () => {
  const idle = files.filter((file) => !testsByFile.has(file));
  for (const file of idle) console.error(`No test ran in ${relative(root, file)}`);
  if (totals.failed > 0 || idle.length > 0) process.exitCode = 1;
  process.on('exit', () => {
    console.log(`${totals.passed} passed, ${totals.failed + idle.length} failed, ${totals.skipped} skipped`);
  });
});

interface TestEvent {
  file?: string;
  name: string;
  skip?: string | boolean;
  todo?: string | boolean;
  details: { type?: string };
}

function count(event: TestEvent, passed: boolean): void {
  const isFileItself = event.file === undefined || event.name === event.file || builtFiles.includes(event.name);
  if (!passed) totals.failed += 1;
  if (isFileItself || event.details.type === 'suite') return;
  testsByFile.set(event.file!, (testsByFile.get(event.file!) ?? 0) + 1);
  if (event.skip) totals.skipped += 1;
  else if (passed) totals.passed += 1;
}
