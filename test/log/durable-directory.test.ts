import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { type DirectoryDisk, makeDurableDirectory } from '../../src/log/durable-directory.ts';
import { acquireDataDirectoryLock } from '../../src/log/index.ts';
import { scratch } from './log-helpers.ts';

const TARGET = '/a/b/c/d';

/** A disk of folders that dies after so many operations: names that were not synced then may be gone. */
function createDisk(names: readonly string[], durable: readonly string[]) {
  const there = new Set(names);
  const synced = new Set(durable);
  let left = Number.POSITIVE_INFINITY;
  const operate = (): void => {
    if (left-- <= 0) throw new Error('The process was killed');
  };
  const disk: DirectoryDisk = {
    exists: (path) => path === '/' || there.has(path),
    make(path) {
      operate();
      assert.ok(disk.exists(dirname(path)), `${path} is made in nothing`);
      there.add(path);
    },
    sync(path) {
      operate();
      for (const name of there) if (dirname(name) === path) synced.add(name);
    },
  };
  return {
    disk,
    there,
    synced,
    dieAfter(operations: number) {
      left = operations;
    },
  };
}

test('every folder that leads to a new one is synced, whenever a process before was killed', () => {
  const made = ['/a', '/a/b', '/a/b/c', '/a/b/c/d'];
  for (let operations = 0; operations < 12; operations++) {
    const first = createDisk(['/a'], ['/a']);
    first.dieAfter(operations);
    try {
      makeDurableDirectory(TARGET, first.disk);
    } catch {
      // Killed.
    }
    const next = createDisk([...first.there], [...first.synced]);
    makeDurableDirectory(TARGET, next.disk);
    assert.deepEqual([...next.synced].toSorted(), made, `killed after ${operations} operations`);
  }
});

test('new data directory is made with all that lead to it, and again without harm; a file in its place is refused', (t) => {
  const directory = join(scratch(t), 'one', 'two');
  for (let i = 0; i < 2; i++) {
    const lock = acquireDataDirectoryLock(directory);
    assert.ok(statSync(directory).isDirectory() && existsSync(lock.path));
    lock.release();
  }
  const file = join(directory, 'file');
  writeFileSync(file, '');
  assert.throws(() => acquireDataDirectoryLock(file), { code: 'EEXIST' });
});

test('a folder below a file system that takes none is refused at once, and named', {
  skip: !existsSync('/proc/self'),
}, () => {
  for (const directory of ['/proc/treasury', '/proc/treasury/data']) {
    assert.throws(() => acquireDataDirectoryLock(directory), {
      code: 'TREASURY_CONFIG',
      message: /^Cannot make folder \/proc\/treasury: its file system takes none/,
    });
  }
});
