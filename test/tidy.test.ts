/**
 * Goal: the house rules that a machine can check stay true.
 * Method: reads every file of src/ and test/ as text and looks at its imports, length and exports.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { test } from 'node:test';
import { root } from './helpers/checkout.ts';

const SRC_LINES_MAX = 500;
const TEST_LINES_MAX = 800;

/** Rooms by rank: a room may import rooms of a lower rank. otap and log share a rank: siblings that do not see each other. */
const RANKS: Readonly<Record<string, number>> = {
  base: 0,
  'v8-flags': 0,
  quantities: 0,
  'config-text': 0,
  'config-commands': 0,
  'option-values': 1,
  'export-url': 1,
  'push-arguments': 2,
  otap: 1,
  log: 1,
  materialize: 2,
  api: 3,
  'tables-hold': 3,
  'config-table': 3,
  config: 4,
  treasury: 5,
  commands: 6,
  main: 7,
};

/** Packages that only these rooms may import; every other package of src/ is listed with its rooms too. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  '@bokuweb/zstd-wasm': ['otap'],
  'better-sqlite3': ['log'],
  '@duckdb/node-api': ['materialize'],
  '@duckdb/node-bindings': ['materialize'],
  '@grpc/grpc-js': ['api'],
  koa: ['api'],
  '@koa/router': ['api'],
  'p-queue': ['api', 'materialize'],
  re2js: ['api'],
};

interface SourceFile {
  path: string;
  text: string;
  imports: string[];
}

const source = filesUnder('src');
const tests = filesUnder('test').filter((file) => !file.path.startsWith(join('test', 'gen') + sep));

test('rooms import only rooms below them, and only through their index', () => {
  const wrong: string[] = [];
  for (const file of source) {
    const room = roomOf(file.path);
    for (const target of relativeImports(file)) {
      const targetRoom = roomOf(target);
      if (targetRoom === room) {
        if (target === join('src', room, 'index.ts')) wrong.push(`${file.path}: imports the index of its own room`);
        continue;
      }
      if (!(RANKS[targetRoom]! < RANKS[room]!)) wrong.push(`${file.path}: ${room} must not import ${targetRoom}`);
      const isEntry = target === join('src', targetRoom, 'index.ts') || dirname(target) === 'src';
      if (!isEntry && targetRoom !== 'commands') wrong.push(`${file.path}: imports ${target} past the room's index`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('packages are imported only by the rooms that own them', () => {
  const wrong: string[] = [];
  for (const file of source) {
    for (const specifier of file.imports) {
      if (specifier.startsWith('.') || specifier.startsWith('node:')) continue;
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      if (!PACKAGES[name]?.includes(roomOf(file.path))) wrong.push(`${file.path}: ${name}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('query languages do no input or output and know no transport', () => {
  const wrong = source
    .filter((file) => file.path.startsWith(join('src', 'api', 'query') + sep))
    .flatMap((file) =>
      file.imports
        .filter((specifier) =>
          /^node:(fs|net|http|http2|child_process|worker_threads)|\/(grpc|http|push)\//.test(specifier),
        )
        .map((specifier) => `${file.path}: ${specifier}`),
    );
  assert.deepEqual(wrong, []);
});

test('process.env is read in config.ts alone', () => {
  const wrong = source.filter((file) => file.path !== join('src', 'config.ts') && /process\s*\.\s*env/.test(file.text));
  assert.deepEqual(
    wrong.map((file) => file.path),
    [],
  );
});

test('files stay short', () => {
  const long = [...source, ...tests]
    .map((file) => ({ path: file.path, lines: file.text.split('\n').length - 1 }))
    .filter((file) => file.lines > (file.path.startsWith('src') ? SRC_LINES_MAX : TEST_LINES_MAX));
  assert.deepEqual(long, []);
});

test('files are kebab-case and export by name only', () => {
  const wrong = [...source, ...tests]
    .filter(
      (file) =>
        !/^[a-z0-9]+([.-][a-z0-9]+)*\.ts$/.test(file.path.split(sep).at(-1)!) || /^export default/m.test(file.text),
    )
    .map((file) => file.path);
  assert.deepEqual(wrong, []);
});

test('every folder with three or more source files has a README that names each of them', () => {
  const wrong: string[] = [];
  for (const [folder, files] of groupByFolder()) {
    if (files.length < 3 || folder === 'src') continue;
    const readme = nearestReadme(folder);
    const text = readme === undefined ? '' : readFileSync(join(root, readme), 'utf8');
    for (const file of files) {
      const name = file.path.split(sep).at(-1)!;
      if (name !== 'index.ts' && !text.includes(name))
        wrong.push(`${file.path} is not in ${readme ?? `${folder}/README.md`}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('the project speaks of itself alone', () => {
  const banned = /registry\.npmjs|npmmirror|\/work\/(main|shared)|\/root\//;
  const wrong = [...source, ...tests].filter((file) => banned.test(file.text) && !file.path.endsWith('tidy.test.ts'));
  assert.deepEqual(
    wrong.map((file) => file.path),
    [],
  );
});

test('the layer check sees a planted import against the direction', () => {
  assert.equal(RANKS[roomOf(join('src', 'log', 'log.ts'))]! < RANKS[roomOf(join('src', 'api', 'index.ts'))]!, true);
  const planted = {
    path: join('src', 'log', 'x.ts'),
    text: '',
    imports: importsOf("import { a } from '../api/index.ts';"),
  };
  assert.deepEqual(relativeImports(planted), [join('src', 'api', 'index.ts')]);
});

test('the package check sees what is required', () => {
  assert.deepEqual(importsOf("const { a } = require('koa'); const b = createRequire(import.meta.url)('p-queue');"), [
    'koa',
    'p-queue',
  ]);
});

test('the lock file names the packages of every platform, so that `npm ci` works on each', () => {
  interface Locked {
    readonly packages: Readonly<Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>>;
  }
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Locked;
  const wanted = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).map((name) => ({ path, name })),
  );
  assert.ok(wanted.length > 50, 'this reads the lock file as npm writes it');
  // An npm whose registry lacks other platforms leaves them out, and every other npm refuses the file then.
  const missing = wanted.filter(
    ({ path, name }) => !(`node_modules/${name}` in packages || `${path}/node_modules/${name}` in packages),
  );
  assert.deepEqual(missing, []);
});

function groupByFolder(): Map<string, SourceFile[]> {
  const folders = new Map<string, SourceFile[]>();
  for (const file of source) {
    const folder = dirname(file.path);
    folders.set(folder, [...(folders.get(folder) ?? []), file]);
  }
  return folders;
}

function nearestReadme(folder: string): string | undefined {
  for (let at = folder; at !== 'src' && at !== '.'; at = dirname(at)) {
    const readme = join(at, 'README.md');
    if (existsSync(join(root, readme))) return readme;
  }
  return undefined;
}

function roomOf(path: string): string {
  const [, first] = path.split(sep);
  return first!.replace(/\.ts$/, '');
}

function relativeImports(file: SourceFile): string[] {
  return file.imports
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => normalize(join(dirname(file.path), specifier)));
}

function importsOf(text: string): string[] {
  return [
    ...text.matchAll(
      /(?:\bfrom\s+|\bimport\s*\(\s*|\bimport\s+|\brequire\s*\(\s*|\bcreateRequire\(import\.meta\.url\)\(\s*)'([^']+)'/g,
    ),
  ].map((match) => match[1]!);
}

function filesUnder(folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .toSorted()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return { path, text, imports: importsOf(text) };
    });
}
