/**
 * Goal: the texts that tests of this folder expect are Prometheus' own.
 * Method: with PROMETHEUS naming its binary, one with an empty store is asked the same.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { scratchDirectory } from '../../helpers/server-process.ts';
import { EMPTY, REFUSED } from './empty-store-requests.ts';
import { get } from './prometheus-server.ts';

const binary = process.env['PROMETHEUS'];
const skip = binary === undefined ? 'PROMETHEUS names no binary' : false;
/** Where we answer something else on purpose: no data instead of status 204, and no figures of a head that is not there. */
const OTHERS = new Set(['/query_exemplars?query=1', '/status/tsdb']);

test('a Prometheus answers requests to an empty store as we do', { skip }, async (t) => {
  const base = await startPrometheus(t, binary!);
  for (const [path, error] of Object.entries(REFUSED)) {
    const { status, body } = await get(base, path);
    assert.deepEqual({ path, status, error: body.error }, { path, status: 400, error });
  }
  for (const [path, data] of Object.entries(EMPTY)) {
    if (OTHERS.has(path)) continue;
    const { status, body } = await get(base, path);
    assert.deepEqual({ path, status, body }, { path, status: 200, body: { status: 'success', data } });
  }
});

async function startPrometheus(t: TestContext, path: string): Promise<string> {
  const directory = scratchDirectory(t);
  const config = join(directory, 'prometheus.yml');
  writeFileSync(config, 'global: {}\n');
  const address = `127.0.0.1:${await freePort()}`;
  const child: ChildProcess = spawn(path, [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=${address}`,
  ]);
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  for (;;) {
    const answer = await fetch(`http://${address}/-/ready`).catch(() => null);
    if (answer?.ok === true) return `http://${address}/api/v1`;
    assert.equal(child.exitCode, null, 'Prometheus ended');
    await sleep(50);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
