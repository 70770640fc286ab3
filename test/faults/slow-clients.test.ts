/**
 * Goal: clients that are slow or silent end at their limits, however many they are, and leave nothing behind.
 * Method: servers in this process, with real sockets and limits of some hundred milliseconds: 500 idle OTAP streams and 200 OTLP/gRPC
 * requests of a single byte; 300 HTTP connections with half a head, with a body that comes a byte at a time, and with nothing.
 * Single clients of each kind, and those that never read: test/api/grpc/{rotation,pressure,otlp-pressure}.test.ts,
 * test/api/http/otlp-connections.test.ts.
 * Invariant: each ends as its protocol says (OK at its age, UNAVAILABLE, 408, 503); a good request is OK behind them; streams, bytes and
 * requests are back to none.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, startFixture } from '../api/grpc/grpc-fixture.ts';
import { exportRequest } from '../api/grpc/otlp-messages.ts';
import { allReleased, postHead, startOtlpHarness } from '../api/http/otlp-harness.ts';
import type { OtapClient } from '../helpers/otap-client.ts';
import { exportGrpc, OTLP_GRPC_PATHS } from '../helpers/otlp-client.ts';

test('idle streams and slow requests over gRPC end at their limits, all of them', async (t) => {
  const { server, intake, connect: open } = await startFixture(t, { streamAgeMaxMs: 300, otlpReceiveMaxMs: 300 });
  const client = await open();
  const streams = Array.from({ length: 500 }, () => client.openStream('traces'));
  const calls = Array.from({ length: 200 }, () => client.call(OTLP_GRPC_PATHS.logs));
  for (const call of calls) void call.write(Buffer.from([0]));
  assert.ok((await Promise.all(streams.map(({ ended }) => ended))).every(({ code }) => code === 0));
  const codes = new Set((await Promise.all(calls.map(({ ended }) => ended))).map(({ code }) => code));
  assert.deepEqual([...codes], [UNAVAILABLE]);
  await assertGood(client);
  await eventually(() => server.status().streamsOpen === 0 && server.status().otlpWaitingBytes === 0);
  assert.deepEqual([server.status().streamsEnded.age, intake.admission.inFlightBytes], [500, 0]);
});

test('slow heads, slow bodies and unused connections over HTTP end at their limits, all of them', async (t) => {
  const limits = { headMaxMs: 200, requestMaxMs: 400, stallMaxMs: 300, idleMaxMs: 300, checkIntervalMs: 20 };
  const harness = await startOtlpHarness(t, { limits });
  const connections = await Promise.all(Array.from({ length: 300 }, () => harness.connect()));
  for (const [index, { socket }] of connections.entries()) {
    if (index % 3 === 0) socket.write('POST /v1/logs HTT');
    else if (index % 3 === 1) socket.write(`${postHead('Content-Length: 1000')}{`);
  }
  const dribble = setInterval(() => {
    for (const [index, { socket }] of connections.entries()) if (index % 3 === 1) socket.write(' ');
  }, 50);
  t.after(() => clearInterval(dribble));
  await Promise.all(connections.map(({ closed }) => closed));
  for (const [index, connection] of connections.entries()) {
    if (index % 3 !== 2) assert.match(connection.heard(), index % 3 === 0 ? /^HTTP\/1.1 408 / : /^HTTP\/1.1 503 /);
  }
  await allReleased(harness);
  assert.equal((await harness.post(exportRequest('logs'))).status, 200);
});

const UNAVAILABLE = 14;

async function assertGood(client: OtapClient): Promise<void> {
  assert.equal((await exportGrpc(client, 'logs', exportRequest('logs'))).code, 0);
}
