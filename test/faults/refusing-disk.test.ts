/**
 * Goal: a disk or a machine that refuses the server something is told by name, costs nothing that was acknowledged, and is forgotten
 * as soon as it is over.
 * Method: a running server meets a file system that turns read-only, folders that go, rights that go and descriptors that run out; a
 * server is started where it cannot work. Senders of both protocols stay connected and send on. A second server on the directory of a
 * running one is test/e2e/two-servers.test.ts, and a full disk under a running server full-disk.test.ts.
 * Invariant: UNAVAILABLE or 503 with a hint when to come again; readiness and its metric are red for the part with the reason; SQL is
 * answered; entries are taken again within 5 s of the cause going; each acknowledged unit is in the log once. A server that cannot
 * start ends with 1 and one line that names the path and the reason.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTreasury } from '../commands/process.ts';
import { loaderFlags } from '../helpers/checkout.ts';
import { FaultLoad, SentUnits } from '../helpers/fault-load.ts';
import { faultShim } from '../helpers/fault-shim.ts';
import {
  fetchSql,
  scratchDirectory,
  type ServerProcess,
  type ServerStartError,
  startServerProcess,
} from '../helpers/server-process.ts';

/** Segments of such a log are as small as frames can be. */
const SMALL_SEGMENTS = ['--retention-bytes', '64MiB'];
const SEGMENT_BYTES = 8 * 1024 * 1024;

interface Bench {
  readonly data: string;
  readonly server: ServerProcess;
  readonly load: FaultLoad;
  readonly units: SentUnits;
}

/** A server with something in its log and its tables, and connected senders. */
async function startBench(t: TestContext, data: string, flags: string[] = [], env = {}): Promise<Bench> {
  const units = new SentUnits();
  const server = await startServerProcess(data, '127.0.0.1:0', flags, env);
  t.after(() => server.end('SIGKILL'));
  const load = await FaultLoad.connect(server, units);
  t.after(() => load.close());
  await load.assertTaken();
  return { data, server, load, units };
}

async function assertReads({ server, load }: Bench): Promise<void> {
  assert.equal((await fetchSql(server, 'SELECT count(*) >= 0 FROM logs'))[0]![0], true);
  assert.equal((await load.page('/metrics')).status, 200);
}

/** Ends the server in order and finds everything. */
async function assertKept({ server, load, units, data }: Bench): Promise<void> {
  load.close();
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  units.assertKept(data);
  const { code, stdout, stderr } = await runTreasury(['log', 'verify', '--data', data]);
  assert.equal(code, 0, stdout + stderr);
}

test('file system that turns read-only stops intake until it can be written to again', async (t) => {
  const shim = faultShim(t);
  if (shim === null) return;
  const bench = await startBench(t, scratchDirectory(t), [], shim.env);
  const { load } = bench;
  shim.set([
    { calls: ['write', 'sync', 'create', 'unlink', 'truncate', 'rename', 'mkdir'], path: bench.data, error: 'EROFS' },
  ]);
  await load.assertRefused(/EROFS: read-only file system/);
  await load.untilRed('log', /EROFS: read-only file system/);
  await assertReads(bench);
  shim.clear();
  await load.untilWell();
  await load.assertTaken();
  await assertKept(bench);
});

test('read-only mount over the log is told before a segment is due, and gone within seconds', async (t) => {
  const data = scratchDirectory(t);
  const first = await startBench(t, data);
  await assertKept(first);
  const log = join(data, 'log');
  const server = await startServerProcess(data);
  t.after(() => server.end('SIGKILL'));
  const load = await FaultLoad.connect(server, first.units);
  t.after(() => load.close());
  const bench = { ...first, server, load };
  if (!mounted(t, ['--bind', log, log])) return;
  try {
    run('mount', ['-o', 'remount,bind,ro', log]);
    await load.untilRed('log', /EROFS: read-only file system, access '.*log'/);
    await load.assertRefused(/EROFS: read-only file system/);
    await assertReads(bench);
  } finally {
    run('umount', [log]);
  }
  await load.untilWell();
  await load.assertTaken();
  await assertKept(bench);
});

test('log directory that is moved away takes no entry into files that nobody finds, and may come back', async (t) => {
  const bench = await startBench(t, scratchDirectory(t));
  const { data, load } = bench;
  const log = join(data, 'log');
  renameSync(log, join(data, 'elsewhere'));
  await load.assertRefused(/ENOENT: no such file or directory, .*log/);
  await load.untilRed('log', /ENOENT: no such file or directory, .*log'/);
  await assertReads(bench);
  renameSync(join(data, 'elsewhere'), log);
  await load.untilWell();
  await load.assertTaken();
  await assertKept(bench);
});

test('removed data directory is told, and one that takes its place belongs to another server', async (t) => {
  const bench = await startBench(t, scratchDirectory(t));
  const { data, load, server } = bench;
  rmSync(data, { recursive: true });
  await load.assertRefused(/ENOENT: no such file or directory, .*log/);
  await load.untilRed('log', /ENOENT: no such file or directory, .*log'/);
  const second = await startBench(t, data);
  await load.untilRed('log', /Cannot use .*log: it is not the directory that was opened. Restart/);
  await load.assertRefused(/it is not the directory that was opened/);
  assert.equal(server.child.exitCode, null, 'it stays up');
  load.close();
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  await second.load.assertTaken();
  await assertKept(second);
});

test('active segment that is removed takes no entry with it that is acknowledged later', async (t) => {
  const bench = await startBench(t, scratchDirectory(t));
  const log = join(bench.data, 'log');
  for (const name of readdirSync(log)) if (name.endsWith('.arrows')) rmSync(join(log, name));
  bench.units.acked.clear();
  const status = await bench.load.otap();
  assert.equal(status.code, 14, status.message);
  await bench.load.untilWell();
  await bench.load.assertTaken();
  bench.load.close();
  assert.equal(await bench.server.end('SIGTERM'), 0, bench.server.stderr());
  bench.units.assertKept(bench.data);
});

test('descriptors that run out are told, and intake goes on when there are some', async (t) => {
  const bench = await startBench(t, scratchDirectory(t), SMALL_SEGMENTS);
  const { load, server } = bench;
  await load.page('/readyz');
  const open = await freeDescriptor(server);
  if (!limitDescriptors(t, server, open)) return;
  await load.untilRed('log', /EMFILE: too many open files, open '.*log'/);
  for (let sent = 0; sent <= SEGMENT_BYTES; sent += SEGMENT_BYTES / 4) await load.otap(SEGMENT_BYTES / 4);
  await load.assertRefused(/EMFILE: too many open files/);
  assert.equal(server.child.exitCode, null, 'it stays up');
  limitDescriptors(t, server, open + 1000);
  await load.untilWell();
  await load.assertTaken();
  await assertReads(bench);
  await assertKept(bench);
});

test('connections that take all descriptors cost nothing but connections', async (t) => {
  const bench = await startBench(t, scratchDirectory(t));
  const { load, server } = bench;
  await load.page('/readyz');
  const open = await freeDescriptor(server);
  if (!limitDescriptors(t, server, open + 40)) return;
  const crowd = await Promise.all(
    Array.from({ length: 100 }, () => FaultLoad.connect(server, bench.units).catch(() => null)),
  );
  await load.assertTaken();
  await load.untilRed('log', /EMFILE: too many open files/);
  for (const one of crowd) one?.close();
  await load.untilWell();
  await load.assertTaken();
  await assertReads(bench);
  await assertKept(bench);
});

test('log directory without write permission is told, and used again once it has it', async (t) => {
  const asNobody = unprivileged(t);
  if (asNobody === null) return;
  const data = scratchDirectory(t);
  chownSync(data, asNobody.uid, asNobody.gid);
  const units = new SentUnits();
  const server = await startServerProcess(data, '127.0.0.1:0', [], {}, asNobody);
  t.after(() => server.end('SIGKILL'));
  const load = await FaultLoad.connect(server, units);
  t.after(() => load.close());
  const bench = { data, server, load, units };
  const log = join(data, 'log');
  chmodSync(log, 0o500);
  await load.assertRefused(/EACCES: permission denied, open '.*\.arrows'/);
  await load.untilRed('log', /EACCES: permission denied/);
  await assertReads(bench);
  chmodSync(log, 0o700);
  await load.untilWell();
  await load.assertTaken();
  await assertKept(bench);
});

test('server that cannot have its directory ends with one line that says why', async (t) => {
  const scratch = scratchDirectory(t);
  const file = join(scratch, 'file');
  writeFileSync(file, 'not a directory');
  const logIsFile = join(scratch, 'log-is-file');
  mkdirSync(logIsFile);
  writeFileSync(join(logIsFile, 'log'), 'not a directory either');
  const cases: [string, RegExp][] = [
    [file, /EEXIST|ENOTDIR/],
    [join(file, 'below'), /EEXIST|ENOTDIR/],
    [logIsFile, /EEXIST|ENOTDIR/],
  ];
  for (const [data, reason] of cases) await assertRefusesToStart(data, reason);
});

test('server on a full or read-only disk that leaves no room for its lock ends with one line that says why', async (t) => {
  const scratch = scratchDirectory(t);
  const cases: [string, RegExp][] = [
    ['size=64k', /ENOSPC: no space left on device/],
    ['ro', /EROFS: read-only file system/],
  ];
  for (const [option, reason] of cases) {
    if (!mounted(t, ['-t', 'tmpfs', '-o', option, 'tmpfs', scratch])) return;
    try {
      spawnSync('dd', ['if=/dev/zero', `of=${join(scratch, 'ballast')}`, 'bs=4k']);
      await assertRefusesToStart(scratch, reason);
    } finally {
      run('umount', [scratch]);
    }
  }
});

test('server whose disk has no room for a folder says so, and starts when there is room', async (t) => {
  const shim = faultShim(t);
  if (shim === null) return;
  const data = scratchDirectory(t);
  for (const folder of ['log', 'tables']) {
    shim.set([{ calls: ['mkdir'], path: join(data, folder), error: 'ENOSPC' }]);
    const refused = startServerProcess(data, '127.0.0.1:0', [], shim.env);
    await assert.rejects(refused, ({ code, stderr }: ServerStartError) => {
      assert.deepEqual([code, stderr.trimEnd().split('\n').length], [1, 1], stderr);
      assert.match(stderr, new RegExp(`ENOSPC: no space left on device, mkdir '${join(data, folder)}'`));
      return true;
    });
  }
  shim.clear();
  const server = await startServerProcess(data, '127.0.0.1:0', [], shim.env);
  assert.equal(await server.end('SIGTERM'), 0);
});

const PORTS = ['--grpc', '--otlp-http', '--http'].flatMap((flag) => [flag, '127.0.0.1:0']);

async function assertRefusesToStart(data: string, reason: RegExp): Promise<void> {
  const { code, stdout, stderr } = await runTreasury(['serve', '--data', data, ...PORTS]);
  assert.deepEqual([code, stdout], [1, ''], stderr);
  const lines = stderr.trimEnd().split('\n');
  assert.equal(lines.length, 1, stderr);
  assert.match(lines[0]!, reason);
  assert.ok(lines[0]!.startsWith('treasury: ') && lines[0]!.includes(data), stderr);
}

/** Mounts; false, and the test is told to be skipped, where that is not possible. */
function mounted(t: TestContext, args: readonly string[]): boolean {
  const { status, stderr, error } = spawnSync('mount', args, { encoding: 'utf8' });
  if (status !== 0) t.skip(`cannot mount here: ${(stderr ?? String(error)).trim()}`);
  return status === 0;
}

function limitDescriptors(t: TestContext, server: ServerProcess, soft: number): boolean {
  const { status, stderr, error } = spawnSync('prlimit', ['--pid', `${server.child.pid}`, `--nofile=${soft}:`], {
    encoding: 'utf8',
  });
  if (status !== 0) t.skip(`cannot limit descriptors here: ${(stderr ?? String(error)).trim()}`);
  return status === 0;
}

/** How long and how often descriptors are looked at: longer than the server's own looks at its folders are apart. */
const LOOKS = 60;
const LOOK_INTERVAL_MS = 50;

/** The lowest number that a new descriptor would get, also while none is open for a moment; none below a limit of it is free. */
async function freeDescriptor(server: ServerProcess): Promise<number> {
  let lowest = Number.POSITIVE_INFINITY;
  for (let look = 0; look < LOOKS; look++) {
    const taken = new Set(readdirSync(`/proc/${server.child.pid}/fd`).map(Number));
    let number = 0;
    while (taken.has(number)) number++;
    lowest = Math.min(lowest, number);
    await sleep(LOOK_INTERVAL_MS);
  }
  return lowest;
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

const SERVER_CODE = new URL('../../src/treasury.ts', import.meta.url).href;

/** Somebody without the rights of root, who may read the code of a server and its packages. */
function unprivileged(t: TestContext): { uid: number; gid: number } | null {
  const nobody = { uid: 65_534, gid: 65_534 };
  const loading = [...loaderFlags, '-e', `import(${JSON.stringify(SERVER_CODE)})`];
  const { status } = process.getuid?.() === 0 ? spawnSync(process.execPath, loading, nobody) : { status: 1 };
  if (status === 0) return nobody;
  t.skip('cannot run a server as another user here');
  return null;
}
