import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { BaseServerInterceptingCall } from '@grpc/grpc-js/build/src/server-interceptors.js';
import { checkGrpcHooks, startGrpcServer } from '../../../src/api/index.ts';
import { silentLogger, TreasuryError } from '../../../src/base/index.ts';
import { openFileLog } from './file-log.ts';
import { intakeOver, messagesOf, startFixture } from './grpc-fixture.ts';

test('the installed grpc-js has the hooks, and is pinned to one version', () => {
  checkGrpcHooks();
  const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  assert.match(manifest.dependencies['@grpc/grpc-js']!, /^\d+\.\d+\.\d+$/);
});

test('a grpc-js without the decompression hook is refused at start by name', () => {
  const prototype = BaseServerInterceptingCall.prototype as unknown as Record<string, unknown>;
  const original = prototype['decompressAndMaybePush'];
  prototype['decompressAndMaybePush'] = () => Promise.resolve();
  try {
    assert.throws(checkGrpcHooks, (error) => error instanceof TreasuryError && /@grpc\/grpc-js/.test(error.message));
  } finally {
    prototype['decompressAndMaybePush'] = original;
  }
});

test('streams and connections get the raised flow control windows', async (t) => {
  const { connect } = await startFixture(t);
  const client = await connect();
  const stream = client.openStream('logs');
  await stream.send(messagesOf('rich-1', 'logs')[0]!);
  await stream.reach(1);
  assert.equal(client.session.remoteSettings.initialWindowSize, 4 * 1024 * 1024);
  assert.ok(client.session.state.remoteWindowSize! > 4 * 1024 * 1024);
});

test('a port that is taken is refused with the address', async (t) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const log = openFileLog();
  t.after(async () => {
    other.close();
    await log.close();
  });
  const { port } = other.address() as { port: number };
  const intake = intakeOver(log);
  await assert.rejects(startGrpcServer({ host: '127.0.0.1', port, log, intake, logger: silentLogger }), (error) => {
    assert.ok(error instanceof TreasuryError);
    assert.match(error.message, new RegExp(`127.0.0.1:${port}`));
    return true;
  });
});
