/**
 * Goal: an install runs the scripts it needs and no others, and `npm test` is green only when every file was there and tested something.
 * Method: package.json against the lock file, and the runner on folders of its own.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { root } from './helpers/checkout.ts';

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>;
}

test('every install script is allowed or refused by name, and only that of SQLite is needed', () => {
  const { allowScripts } = readJson<Manifest>('package.json');
  const { packages } = readJson<Lock>('package-lock.json');
  const scripted = Object.entries(packages)
    .filter(([path, { hasInstallScript = false }]) => path !== '' && hasInstallScript)
    .map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length));
  assert.deepEqual(Object.keys(allowScripts).toSorted(), [...new Set(scripted)].toSorted());
  const allowed = Object.entries(allowScripts).flatMap(([name, isAllowed]) => (isAllowed ? [name] : []));
  assert.deepEqual(allowed, ['better-sqlite3']);
});

test('dependencies are exact versions', () => {
  const { dependencies, devDependencies } = readJson<Manifest>('package.json');
  const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
    ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
  );
  assert.deepEqual(loose, []);
});

const PASSING = "import { test } from 'node:test';\ntest('something', () => {});\n";
const FAILING = "import { test } from 'node:test';\ntest('something', () => { throw new Error('no'); });\n";
const IDLE = 'export const nothing = 0;\n';
const EXITING = 'process.exit(0);\n';

test('the runner is green when every file ran a test that passed', (t) => {
  const { code, output } = runTests(t, { 'a.test.ts': PASSING, 'folder/b.test.ts': PASSING });
  assert.deepEqual([code, lastLine(output)], [0, '2 passed, 0 failed, 0 skipped'], output);
});

test('the runner is red when a test fails, and names the line of the source', (t) => {
  const { code, output } = runTests(t, { 'a.test.ts': PASSING, 'b.test.ts': FAILING });
  assert.equal(code, 1, output);
  assert.match(lastLine(output), /^1 passed, [1-9]\d* failed, 0 skipped$/);
  assert.match(output, /\/test\/b\.test\.ts:2:/);
});

test('the runner is red when files run no test or end at once, and names them', (t) => {
  const { code, output } = runTests(t, { 'a.test.ts': PASSING, 'b.test.ts': IDLE, 'folder/c.test.ts': EXITING });
  assert.equal(code, 1, output);
  assert.deepEqual(output.match(/(?<=^No test ran in ).*$/gm), ['test/b.test.ts', 'test/folder/c.test.ts']);
  assert.equal(lastLine(output), '1 passed, 2 failed, 0 skipped');
});

test('the runner is red when a file cannot be read, and runs the others', (t) => {
  const { code, output } = runTests(t, { 'a.test.ts': PASSING, 'folder/broken.ts': 'const = 1;\n' });
  assert.deepEqual([code, lastLine(output)], [1, '1 passed, 0 failed, 0 skipped'], output);
  assert.match(output, /^test\/folder\/broken\.ts\(1,7\): error/m);
});

test('the runner is red when no file is asked for', (t) => {
  const { code, output } = runTests(t, { 'a.test.ts': PASSING }, ['nothing/like/it']);
  assert.equal(code, 1);
  assert.match(output, /^Cannot run tests: no file under test\/ matches nothing\/like\/it$/m);
});

/** Runs a copy of the runner over a folder test/ of these files. */
function runTests(t: TestContext, files: Readonly<Record<string, string>>, wanted: readonly string[] = []) {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-runner-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, 'test/folder'), { recursive: true });
  for (const name of ['scripts', 'tsconfig.json']) cpSync(join(root, name), join(directory, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  const runner = join(directory, 'scripts/test.ts');
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, 'test', name), text);
  // Files of a runner within a runner would report to the outer one.
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', import.meta.resolve('tsx'), runner, ...wanted],
    { cwd: directory, env, encoding: 'utf8' },
  );
  return { code: status, output: stdout + stderr };
}

function lastLine(output: string): string {
  return output.split('\n').findLast((line) => / passed, /.test(line)) ?? '';
}

function readJson<Content>(file: string): Content {
  return JSON.parse(readFileSync(join(root, file), 'utf8')) as Content;
}
