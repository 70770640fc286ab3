/**
 * Goal: clients that are slow, silent or deaf cost a real server little memory, slow nobody else down, and leave nothing behind.
 * Method: the slow clients are 1,000 idle OTAP streams (20 a connection, and one a connection, the harsh case), OTLP requests over gRPC
 * and HTTP that come a byte a second, and HTTP connections whose answers nobody takes. They come to a server at rest. Then, after a
 * warm-up, a control without them: streams of batches and a good client beside them, all of whose answers are read. Then both, with
 * nobody reading the statuses of the streams. All of them leave at once. TREASURY_TEST_SLOW_SECONDS sets how long good and bad are side by side.
 * That limits end such clients: slow-clients.test.ts.
 * Invariant: memory at rest is less than 100 MB more with the slow ones there; its peak is less than 100 MB above that of the control;
 * every good request over OTAP, gRPC and HTTP is OK; afterwards descriptors and streams are what they were.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { exportRequest } from '../api/grpc/otlp-messages.ts';
import { postHead } from '../api/http/otlp-harness.ts';
import { readArrowStreams } from '../helpers/captures.ts';
import { connectOtap, type OtapClient, type OtapStream } from '../helpers/otap-client.ts';
import { createOtlpHttpClient, exportGrpc, OTLP_GRPC_PATHS } from '../helpers/otlp-client.ts';
import {
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';

const IDLE_STREAMS = 1_000;
const SLOW_CLIENTS = 50;
const LOAD_STREAMS = 20;
const BATCHES_A_STREAM = 20;
const UNREAD_REQUESTS = 50;
/** Their garbage is more than gathers on the heap between two collections. */
const WARM_REQUESTS = 3_000;
const WARM_LANES = 16;
const SECONDS = Number(process.env['TREASURY_TEST_SLOW_SECONDS'] ?? 2);
const GROWTH_MAX_BYTES = 100_000_000;
/** Of this process: the server's half is less, and the rest is what both need anyway. */
const DESCRIPTORS_MIN = 2_048;
const SETTLE_MAX_MS = 30_000;

/** A small one: what the tables make of telemetry takes memory too, whether answers are read or not, and more from load to load. */
const batch = readArrowStreams('odd-1').find(({ arrowSignal }) => arrowSignal === 'logs')!.messages[0]!;

for (const streamsAConnection of [20, 1]) {
  const connections = IDLE_STREAMS / streamsAConnection;
  test(`${IDLE_STREAMS} idle streams over ${connections} connections, slow senders and deaf clients leave a server small and others served`, {
    timeout: 120_000 + 10_000 * SECONDS,
  }, async (t) => {
    const allowed = Number(
      execFileSync('/bin/sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).replace('unlimited', '1e9'),
    );
    if (allowed < DESCRIPTORS_MIN)
      return t.skip(`a process may have ${allowed} descriptors, ${DESCRIPTORS_MIN} are needed`);
    await besideSlowClients(t, streamsAConnection);
  });
}

async function besideSlowClients(t: TestContext, streamsAConnection: number): Promise<void> {
  const server = await startServerProcess(scratchDirectory(t));
  t.after(() => server.end('SIGKILL'));
  const good = await startGoodClient(t, server);
  for (let at = 0; at < 20; at++) await good.request();
  await untilMaterialized(server);
  await streamsReach(server, 1);
  const before = { ...memoryOf(server), descriptors: descriptors(server) };
  const left = async () => {
    await streamsReach(server, 1);
    await until(
      () => descriptors(server) <= before.descriptors,
      () => `descriptors are ${descriptors(server)}, were ${before.descriptors}`,
    );
  };

  // On a server that has done little: what it has in reserve later would hide what they take.
  const first = await openSlowClients(server, streamsAConnection);
  const atRest = memoryOf(server).residentBytes - before.residentBytes;
  assert.ok(atRest < GROWTH_MAX_BYTES, `memory grew by ${atRest} bytes at rest`);
  first.leave();
  await left();

  await good.warmUp();
  const reader = await connectOtap(server.grpc);
  const readStreams = sendLoad(reader);
  const control = await good.work(() => {});
  for (const stream of readStreams) {
    await stream.reach(BATCHES_A_STREAM);
    assert.ok(stream.statuses.length === BATCHES_A_STREAM && stream.statuses.every(({ code }) => code === 0));
  }
  reader.destroy();
  await untilMaterialized(server);
  await left();
  const { peakBytes } = memoryOf(server);

  const slow = await openSlowClients(server, streamsAConnection);
  // A window that not even the first statuses fit.
  const deaf = await connectOtap(server.grpc, { windowBytes: 60 });
  const deafStreams = sendLoad(deaf, (stream) => stream.call.stopReading());
  const beside = await good.work(slow.sendByte);
  await untilMaterialized(server);
  const peak = memoryOf(server).peakBytes - peakBytes;
  t.diagnostic(
    `${beside} good requests (${control} in the control), memory grew by ${megabytes(atRest)} MB at rest, ${megabytes(peak)} MB at its peak`,
  );
  assert.ok(
    deafStreams.every(({ statuses }) => statuses.length < BATCHES_A_STREAM),
    'deaf clients have read',
  );
  assert.ok(peak < GROWTH_MAX_BYTES, `the peak of memory grew by ${peak} bytes`);

  slow.leave();
  deaf.destroy();
  await left();
  await good.request();
}

interface SlowClients {
  /** Each of the slow senders sends one. */
  sendByte(): void;
  /** All at once. */
  leave(): void;
}

async function openSlowClients(server: ServerProcess, streamsAConnection: number): Promise<SlowClients> {
  const clients: OtapClient[] = [];
  for (let opened = 0; opened < IDLE_STREAMS; opened += streamsAConnection) {
    const client = await connectOtap(server.grpc);
    clients.push(client);
    for (let at = 0; at < streamsAConnection; at++) client.openStream('logs');
  }
  const calls = Array.from({ length: SLOW_CLIENTS }, () => clients[0]!.call(OTLP_GRPC_PATHS.logs));
  const slow = await Promise.all(Array.from({ length: SLOW_CLIENTS }, () => connected(server.otlpHttp)));
  for (const socket of slow) socket.write(postHead('Content-Length: 100000'));
  const unread = await Promise.all(Array.from({ length: SLOW_CLIENTS }, () => connected(server.otlpHttp)));
  for (const socket of unread) {
    socket.pause();
    socket.write((postHead('Content-Length: 2') + '{}').repeat(UNREAD_REQUESTS));
  }
  await streamsReach(server, IDLE_STREAMS + 1);
  return {
    sendByte() {
      for (const call of calls) void call.write(Buffer.from([0]));
      for (const socket of slow) socket.write('{');
    },
    leave() {
      for (const client of clients) client.destroy();
      for (const socket of [...slow, ...unread]) socket.destroy();
    },
  };
}

/** Streams of batches, all of them sent as soon as they can be. */
function sendLoad(client: OtapClient, prepare: (stream: OtapStream) => void = () => {}): OtapStream[] {
  return Array.from({ length: LOAD_STREAMS }, () => {
    const stream = client.openStream('logs');
    prepare(stream);
    for (let sent = 0; sent < BATCHES_A_STREAM; sent++) void stream.send(batch);
    return stream;
  });
}

interface GoodClient {
  /** Has the server reach the memory that it needs to work at all: that is no cost of slow clients. */
  warmUp(): Promise<void>;
  /** One request over each of OTAP, OTLP/gRPC and OTLP/HTTP. Rejects when one is not OK. */
  request(): Promise<void>;
  /** Requests for some seconds, at the beginning of each of which `tick` is called. Returns how many were OK. */
  work(tick: () => void): Promise<number>;
}

async function startGoodClient(t: TestContext, server: ServerProcess): Promise<GoodClient> {
  const client = await connectOtap(server.grpc);
  t.after(() => client.destroy());
  const http = await createOtlpHttpClient(server.otlpHttp);
  t.after(() => http.close());
  const stream = client.openStream('logs');
  const request = async () => {
    void stream.send(batch);
    const [status, call, answer] = await Promise.all([
      stream.nextStatus(),
      exportGrpc(client, 'logs', exportRequest('logs')),
      http.export('logs', exportRequest('logs')),
    ]);
    assert.deepEqual([status.code, call.code, answer.status], [0, 0, 200], `${status.message} ${call.message}`);
  };
  const work = async (tick: () => void) => {
    let count = 0;
    for (let second = 0; second < SECONDS; second++) {
      tick();
      const endMs = performance.now() + 1_000;
      do {
        await request();
        count++;
        await sleep(20);
      } while (performance.now() < endMs);
    }
    return count;
  };
  const warmUp = async () => {
    let sent = 0;
    const lane = async () => {
      while (sent++ < WARM_REQUESTS) assert.equal((await exportGrpc(client, 'logs', exportRequest('logs'))).code, 0);
    };
    await Promise.all(Array.from({ length: WARM_LANES }, lane));
  };
  return { warmUp, request, work };
}

async function connected(address: string): Promise<Socket> {
  const [host, port] = address.split(':');
  const socket = connect(Number(port), host);
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

async function streamsReach(server: ServerProcess, count: number): Promise<void> {
  let last = -1;
  const isReached = async () => {
    const metrics = await (await fetch(`http://${server.http}/metrics`)).text();
    last = Number(/^treasury_streams_open(?:\{[^}]*\})? (\d+)/m.exec(metrics)![1]);
    return last === count;
  };
  await until(isReached, () => `streams are ${last}, not ${count}`);
}

async function until(isTrue: () => boolean | Promise<boolean>, hint: () => string): Promise<void> {
  const deadline = performance.now() + SETTLE_MAX_MS;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`Waited in vain: ${hint()}`);
    await sleep(20);
  }
}

function descriptors(server: ServerProcess): number {
  return readdirSync(`/proc/${server.child.pid}/fd`).length;
}

function memoryOf(server: ServerProcess): { residentBytes: number; peakBytes: number } {
  const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8');
  const bytesOf = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]) * 1024;
  return { residentBytes: bytesOf('VmRSS'), peakBytes: bytesOf('VmHWM') };
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
