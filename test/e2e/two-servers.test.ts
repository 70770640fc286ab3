/**
 * Goal: two servers never work on one data directory, also when the `lock` file cannot tell them apart.
 * Method: the lock file of a running server is taken away, as good as what a container with its own PIDs sees of it; a second server is
 * started on the same directory.
 * Invariant: the second one ends with a reason before it changes anything, the first one goes on, and its data is whole.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLog, verifyLog } from '../../src/log/index.ts';
import { readArrowStreams } from '../helpers/captures.ts';
import { connectOtap, replayStreams } from '../helpers/otap-client.ts';
import { fetchSql, scratchDirectory, startServerProcess, untilMaterialized } from '../helpers/server-process.ts';

const streams = readArrowStreams('telemetrygen-1').filter((stream) => stream.messages.length > 0);

test('a second server on a directory in use is refused even without the lock file', async (t) => {
  const data = scratchDirectory(t);
  const server = await startServerProcess(data);
  t.after(async () => {
    await server.end('SIGKILL');
  });
  const client = await connectOtap(server.grpc);
  const send = async (): Promise<void> => {
    for (const { end } of await replayStreams(client, streams, { encoding: 'zstd' })) assert.equal(end.code, 0);
  };
  await send();
  rmSync(join(data, 'lock'));
  await assert.rejects(startServerProcess(data), /index\.sqlite is held by another process/);
  await send();
  await client.close();
  await untilMaterialized(server);
  assert.deepEqual(await fetchSql(server, 'SELECT count(*) FROM logs'), [['600']]);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  assert.deepEqual(verifyLog(join(data, 'log')), []);
});

test('a log that is open is not opened again, and can be once it is closed', async (t) => {
  const directory = join(scratchDirectory(t), 'log');
  const log = await openLog({ directory });
  await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('x')] });
  await assert.rejects(openLog({ directory }), { code: 'TREASURY_DATA_DIRECTORY_LOCKED' });
  await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('y')] });
  await log.close();
  const again = await openLog({ directory });
  assert.equal(again.status().durableOffset, 2n);
  await again.close();
});
