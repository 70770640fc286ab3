/** The receiver over the real log: what is answered OK is on the disk, byte for byte, and its streams are whole. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type GrpcServer, startGrpcServer } from '../../../src/api/index.ts';
import { SIGNAL_CODES, silentLogger } from '../../../src/base/index.ts';
import { ENTRY_FLAGS, ENTRY_KINDS, type Log, type LogEntry, openLog, readEntries } from '../../../src/log/index.ts';
import { readArrowStreams } from '../../helpers/captures.ts';
import { connectOtap, replayStreams } from '../../helpers/otap-client.ts';
import { eventually, intakeOver } from './grpc-fixture.ts';

async function start(t: TestContext): Promise<{ server: GrpcServer; log: Log; directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-grpc-'));
  const log = await openLog({ directory });
  const server = await startGrpcServer({
    host: '127.0.0.1',
    port: 0,
    log,
    intake: intakeOver(log),
    logger: silentLogger,
  });
  t.after(async () => {
    await server.stop();
    await log.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { server, log, directory };
}

test('every batch answered OK is in the log, verbatim, in order, with its stream', async (t) => {
  const { server, log, directory } = await start(t);
  const client = await connectOtap(server.address);
  const streams = readArrowStreams('rich-1');
  const results = await replayStreams(client, streams, { encoding: 'zstdarrow5' });
  for (const [index, { end, statuses }] of results.entries()) {
    assert.equal(end.code, 0);
    assert.equal(statuses.length, streams[index]!.messages.length);
    assert.ok(statuses.every(({ code }) => code === 0));
  }
  await client.close();
  await server.stop();
  await log.close();
  const entries: LogEntry[] = [];
  for (const entry of readEntries(directory, { from: 0n }))
    entries.push({ ...entry, record: Buffer.from(entry.record) });
  for (const { arrowSignal, messages } of streams) {
    const own = entries.filter(({ signal, kind }) => signal === SIGNAL_CODES[arrowSignal] && kind === ENTRY_KINDS.BAR);
    assert.deepEqual(
      own.map(({ record }) => record),
      messages,
    );
    assert.equal(new Set(own.map(({ streamId }) => streamId)).size, 1);
    assert.deepEqual(
      own.map(({ batchId }) => batchId),
      messages.map((_, i) => BigInt(i)),
    );
    assert.ok(own.every(({ headers }) => headers instanceof Map));
  }
  const closed = entries.filter(({ kind }) => kind === ENTRY_KINDS.STREAM_CLOSE);
  assert.equal(closed.length, streams.filter(({ messages }) => messages.length > 0).length);
});

test('a credential among the headers of a batch reaches no file, a harmless header reaches its entry', async (t) => {
  const { server, log, directory } = await start(t);
  const client = await connectOtap(server.address);
  const { messages } = readArrowStreams('rich-1').find(({ arrowSignal }) => arrowSignal === 'logs')!;
  const stream = client.openStream('logs');
  const secret = 'Bearer hunter2';
  await stream.send(withHeaders(messages[0]!, ['authorization', secret], ['x-tenant-id', 'acme']));
  await stream.send(withHeaders(messages[1]!, ['x-tenant-id', 'acme']));
  await stream.reach(2);
  assert.ok(stream.statuses.every(({ code }) => code === 0));
  stream.halfClose();
  assert.equal((await stream.ended).code, 0);
  await client.close();
  await server.stop();
  await log.close();
  const bars = [...readEntries(directory, { from: 0n })].filter(({ kind }) => kind === ENTRY_KINDS.BAR);
  assert.deepEqual(
    bars.map(({ headers, flags }) => [headers.get('x-tenant-id'), (flags & ENTRY_FLAGS.HEADERS_CUT) !== 0]),
    [
      ['acme', true],
      ['acme', false],
    ],
  );
  assert.deepEqual(Buffer.from(bars[0]!.record), messages[0]);
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.ok(files.some(({ name }) => name.endsWith('.arrows')));
  for (const { parentPath, name } of files) assert.ok(!readFileSync(join(parentPath, name)).includes(secret), name);
});

test('a closing log answers UNAVAILABLE and loses nothing that was answered OK', async (t) => {
  const { server, log, directory } = await start(t);
  const client = await connectOtap(server.address);
  const { messages } = readArrowStreams('rich-1').find(({ arrowSignal }) => arrowSignal === 'logs')!;
  const stream = client.openStream('logs');
  await stream.send(messages[0]!);
  await stream.reach(1);
  await log.close();
  await stream.send(messages[1]!);
  await stream.reach(2);
  assert.deepEqual(
    stream.statuses.map(({ batchId, code }) => [batchId, code]),
    [
      [0n, 0],
      [1n, 14],
    ],
  );
  client.destroy();
  await eventually(() => server.status().streamsOpen === 0);
  const bars = [...readEntries(directory, { from: 0n })].filter(({ kind }) => kind === ENTRY_KINDS.BAR);
  assert.equal(bars.length, 1);
});

/** The message with a field `headers` (HPACK, literals as they are) behind it. */
function withHeaders(message: Uint8Array, ...headers: readonly (readonly [name: string, value: string])[]): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const block = Buffer.concat(
    headers.map(([name, value]) => Buffer.concat([Buffer.from([0x00]), text(name), text(value)])),
  );
  return Buffer.concat([message, Buffer.from([0x1a, block.length]), block]);
}
