/**
 * Makes what is generated and checked in: protobuf messages for tests (test/gen) and docs/configuration.md.
 * With --check nothing is written: exits 1 and names the files that are not fresh.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configurationMarkdown } from '../src/config.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const check = process.argv.includes('--check');
const work = mkdtempSync(join(tmpdir(), 'treasury-generate-'));
try {
  const stale = [...generateMessages(), ...generateConfiguration()];
  if (check && stale.length > 0) {
    for (const file of stale) console.error(`Not fresh: ${file} (npm run generate)`);
    process.exitCode = 1;
  }
} finally {
  rmSync(work, { recursive: true });
}

/** Runs buf into a scratch folder; returns the paths that differ from the tree. */
function generateMessages(): string[] {
  const bin = join(root, 'node_modules', '.bin');
  const buf = spawnSync(join(bin, 'buf'), ['generate', '-o', work], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}:${process.env['PATH']}` },
  });
  if (buf.status !== 0) throw new Error(`Cannot generate messages: buf exited with ${buf.status}`);
  const made = listFiles(join(work, 'test/gen')).map((file) => join('test/gen', file));
  const kept = existsSync(join(root, 'test/gen'))
    ? listFiles(join(root, 'test/gen')).map((file) => join('test/gen', file))
    : [];
  const gone = kept.filter((file) => !made.includes(file));
  if (!check) for (const file of gone) rmSync(join(root, file));
  return [...gone, ...made.filter((file) => isStale(file, readFileSync(join(work, file), 'utf8')))];
}

function generateConfiguration(): string[] {
  const file = 'docs/configuration.md';
  return isStale(file, configurationMarkdown()) ? [file] : [];
}

/** Whether a file differs from `text`; writes it unless only checking. */
function isStale(file: string, text: string): boolean {
  const path = join(root, file);
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return false;
  if (!check) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return true;
}

function listFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .toSorted();
}
