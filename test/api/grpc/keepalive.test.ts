/** Connections that are only held open: those whose peer is there stay, however often it asks, and those whose peer is gone do not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCuttingProxy } from '../../helpers/cutting-proxy.ts';
import { connectOtap, type OtapClient } from '../../helpers/otap-client.ts';
import { exportGrpc } from '../../helpers/otlp-client.ts';
import { eventually, messagesOf, startFixture } from './grpc-fixture.ts';
import { exportRequest } from './otlp-messages.ts';

/** Some servers take so many for an attack; Collectors with keep-alive set send them without a call, too. */
const CLIENT_PINGS = 500;

test("a client's pings are answered with and without calls, and cost it neither its connection nor its streams", async (t) => {
  const { connect } = await startFixture(t);
  const client = await connect();
  for (let sent = 0; sent < CLIENT_PINGS; sent++) await ping(client);
  const stream = client.openStream('logs');
  for (let sent = 0; sent < CLIENT_PINGS; sent++) await ping(client);
  await stream.send(messagesOf('rich-1', 'logs')[0]!);
  assert.equal((await stream.nextStatus()).code, 0);
  stream.halfClose();
  assert.equal((await stream.ended).code, 0);
  assert.equal((await exportGrpc(client, 'logs', exportRequest('logs'))).code, 0);
});

test('a peer that vanishes is found by an unanswered ping, and its streams are freed', async (t) => {
  const { server, connect } = await startFixture(t, { grpcKeepaliveIntervalMs: 50, grpcKeepaliveTimeoutMs: 2_000 });
  const proxy = await startCuttingProxy(server.address);
  t.after(() => proxy.close());
  const vanishing = await connectOtap(proxy.address);
  t.after(() => vanishing.destroy());
  const stream = vanishing.openStream('logs');
  await stream.send(messagesOf('rich-1', 'logs')[0]!);
  assert.equal((await stream.nextStatus()).code, 0);
  await eventually(() => server.status().streamsOpen === 1);
  // From now on it hears no ping, and so answers none.
  proxy.holdAnswers();
  await eventually(() => server.status().streamsOpen === 0);
  assert.equal((await stream.ended).code, -1);
  assert.equal(server.status().streamsEnded.cancelled, 1);
  assert.equal((await exportGrpc(await connect(), 'logs', exportRequest('logs'))).code, 0);
});

function ping({ session }: OtapClient): Promise<void> {
  return new Promise((resolve, reject) => {
    session.ping((error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
