/**
 * Goal: a server that may keep little keeps its log small under load, answers SQL on all rows, and tells what it deleted; one whose disk
 * is nearly full refuses entries, answers reads, and takes entries again when there is room.
 * Method: a real server, OTLP requests of a megabyte each, and a small disk where the machine mounts one.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTreasury } from '../commands/process.ts';
import {
  fetchSql,
  fetchStatus,
  type ServerProcess,
  scratchDirectory,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';

const REQUEST_BYTES = 1_000_000;
const RETENTION_BYTES = 32_000_000;
/** A segment of a log that keeps so little, with the frame that fills it. */
const SEGMENT_BYTES_MAX = 8 * 1024 * 1024 + 2 * REQUEST_BYTES;
const MIB = 1024 * 1024;

test('log stays within its bytes and one segment under load, and every row is in the tables', async (t) => {
  const data = scratchDirectory(t);
  const flags = ['--retention-bytes', '32MB'];
  const server = await start(t, data, flags);
  let most = 0;
  for (let i = 0; i < 60; i++) {
    assert.equal((await sendLog(server, i)).status, 200);
    most = Math.max(most, segmentBytes(data));
    if (i % 15 === 14) await untilMaterialized(server);
  }
  assert.ok(most > RETENTION_BYTES, `the load was enough: ${most}`);
  assert.ok(most <= RETENTION_BYTES + SEGMENT_BYTES_MAX, `${most} bytes`);
  await until(async () => segmentBytes(data) <= RETENTION_BYTES);
  await until(async () => (await statusOf(server)).log.retention.deletedTo === firstKeptOffset(data));
  const { firstOffset, log } = await statusOf(server);
  assert.ok(firstOffset > 0);
  assert.equal(log.retention.deletedTo, firstOffset);
  assert.equal(log.retention.bytesMax, RETENTION_BYTES);
  assert.ok(log.retention.deleted.bytes.segments > 0);
  assert.deepEqual(
    log.retention.holds.map(({ name, policy, passedEntries }) => ({ name, policy, passedEntries })),
    [{ name: 'tables', policy: 'drop', passedEntries: 0 }],
  );
  assert.deepEqual(await fetchSql(server, 'SELECT count(*), count(DISTINCT body) FROM logs'), [['60', '60']]);
  const metrics = await (await fetch(`http://${server.http}/metrics`)).text();
  assert.match(metrics, new RegExp(`^treasury_log_deleted_offset ${firstOffset}$`, 'm'));
  assert.match(metrics, /^treasury_log_deleted_segments_total\{reason="bytes"\} [1-9]\d*$/m);
  assert.match(metrics, /^treasury_log_disk_free_bytes [1-9]\d*$/m);
  const { stdout } = await runTreasury(['status', '--server', `http://${server.http}`]);
  assert.match(stdout, new RegExp(`log keeps +up to 30.5 MiB, any age, deleted below offset ${firstOffset}\n`));
  assert.match(server.stderr(), /Deleted log segments/);
  assert.match(readFileSync(join(data, 'log', 'deletions.jsonl'), 'utf8'), /"reason":"bytes"/);

  assert.equal(await server.end('SIGKILL'), null);
  const again = await start(t, data, flags);
  assert.equal((await statusOf(again)).firstOffset, firstOffset);
  assert.deepEqual(await fetchSql(again, 'SELECT count(*) FROM logs'), [['60']]);
  assert.equal(await again.end('SIGTERM'), 0);
  assert.equal((await runTreasury(['log', 'verify', '--data', data])).code, 0);
});

test('server on a nearly full disk refuses entries, answers, and takes entries again within seconds', async (t) => {
  const data = smallDisk(t);
  if (data === null) return;
  const server = await start(t, data);
  assert.equal((await sendLog(server, 1)).status, 200);
  await untilMaterialized(server);
  fillUpTo(data, 100 * MIB);
  await until(async () => !(await healthOf(server)).ok);
  await refuses(server);
  assert.equal(await server.end('SIGTERM'), 0);

  fillUpTo(data, 2 * MIB);
  const full = await start(t, data);
  await refuses(full);
  rmSync(join(data, 'ballast'));
  rmSync(join(data, 'ballast-2'));
  const freedAt = performance.now();
  await until(async () => (await sendLog(full, 2)).status === 200);
  assert.ok(performance.now() - freedAt < 5_000, 'intake resumes within 5 s');
  assert.ok((await healthOf(full)).ok);
  await untilMaterialized(full);
  assert.deepEqual(await fetchSql(full, 'SELECT count(*) FROM logs'), [['2']]);
  assert.equal(await full.end('SIGTERM'), 0);
});

async function refuses(server: ServerProcess): Promise<void> {
  const refused = await sendLog(server, 0);
  assert.equal(refused.status, 503);
  assert.ok(refused.headers.get('retry-after') !== null);
  const { ok, log } = await healthOf(server);
  assert.ok(!ok);
  assert.match(log.reason ?? '', /^Too little room on the disk: \d+ bytes are free, 268435456 are kept in reserve$/);
  assert.deepEqual(await fetchSql(server, 'SELECT count(*) FROM logs'), [['1']]);
  assert.match(await (await fetch(`http://${server.http}/metrics`)).text(), /^treasury_log_refusing 1$/m);
}

async function start(t: TestContext, data: string, flags: readonly string[] = []): Promise<ServerProcess> {
  const server = await startServerProcess(data, '127.0.0.1:0', flags);
  t.after(() => server.child.kill('SIGKILL'));
  return server;
}

function sendLog(server: ServerProcess, i: number): Promise<Response> {
  const body = { stringValue: `${i} `.padEnd(REQUEST_BYTES, 'x') };
  const request = { resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: String(i + 1), body }] }] }] };
  return fetch(`http://${server.otlpHttp}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
}

/** What segment files take; one may go while they are counted. */
function segmentBytes(data: string): number {
  return readdirSync(join(data, 'log'))
    .filter((name) => name.endsWith('.arrows'))
    .reduce((sum, name) => sum + (statSync(join(data, 'log', name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

/** Where the oldest segment that is left begins: a sweep deletes files first, and tells of them last. */
function firstKeptOffset(data: string): number {
  const bases = readdirSync(join(data, 'log')).filter((name) => name.endsWith('.arrows'));
  return Math.min(...bases.map((name) => Number.parseInt(name, 10)));
}

interface RetentionBody {
  readonly firstOffset: number;
  readonly log: {
    readonly retention: {
      readonly bytesMax: number;
      readonly deletedTo: number;
      readonly deleted: { readonly bytes: { readonly segments: number } };
      readonly holds: readonly { readonly name: string; readonly policy: string; readonly passedEntries: number }[];
    };
  };
}

async function statusOf(server: ServerProcess): Promise<RetentionBody> {
  return (await fetchStatus(server)) as unknown as RetentionBody;
}

async function healthOf(server: ServerProcess): Promise<{ ok: boolean; log: { reason?: string } }> {
  const response = await fetch(`http://${server.http}/healthz`);
  const { parts } = (await response.json()) as { parts: { log: { reason?: string } } };
  return { ok: response.ok, log: parts.log };
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(50);
}

/** A disk of 400 MiB, gone when the test ends; null, and the test skipped, where the machine mounts none. */
function smallDisk(t: TestContext): string | null {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-disk-'));
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=400m', 'tmpfs', directory]);
  t.after(() => {
    if (mount.status === 0) spawnSync('umount', ['-l', directory]);
    rmSync(directory, { recursive: true, force: true });
  });
  if (mount.status === 0) return directory;
  t.skip(`this machine mounts no small disk: ${mount.stderr?.toString().trim() || mount.error?.message}`);
  return null;
}

/** Takes room until so much is free. */
function fillUpTo(data: string, freeBytes: number): void {
  const { bavail, bsize } = statfsSync(data);
  const path = join(data, readdirSync(data).includes('ballast') ? 'ballast-2' : 'ballast');
  writeFileSync(path, Buffer.alloc(bavail * bsize - freeBytes));
}
