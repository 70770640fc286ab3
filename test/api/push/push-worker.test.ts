/** The exporters' thread: commands and events through real messages, its end, and its death. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPushWorker } from '../../../src/api/push/push-worker.ts';
import type { ExporterProgress, PushEvent } from '../../../src/api/push/types.ts';
import { type LogFields, silentLogger } from '../../../src/base/index.ts';
import { durableOf } from '../../helpers/engine-log.ts';
import { scratchDirectory } from '../../helpers/server-process.ts';
import { startPush } from './push-fixture.ts';
import { startGrpcTarget } from './targets.ts';

test('a thread sends what becomes durable, tells how far it is, and ends as told', async (t) => {
  const target = await startGrpcTarget(t);
  const { log, directory, append } = await startPush(t);
  const events: PushEvent[] = [];
  const worker = startPushWorker({
    logDirectory: directory,
    logger: silentLogger,
    onEvent: (event) => events.push(event),
  });
  t.after(() => worker.terminate());
  log.onDurable(() => worker.send({ type: 'advance', durable: durableOf(log.status()) }));
  await append(['0']);
  const config = { name: 'one', protocol: 'otlp-grpc', endpoint: target.endpoint } as const;
  worker.send({ type: 'start', config, from: 0n, durable: durableOf(log.status()) });
  for (let i = 1; i < 20; i++) await append([String(i)]);
  await until(events, ({ ackedOffset }) => ackedOffset === 20n);
  assert.deepEqual(
    target.accepted,
    Array.from({ length: 20 }, (_, i) => String(i)),
  );
  worker.send({ type: 'stop', name: 'one' });
  worker.send({ type: 'end' });
  assert.equal(await worker.ended, null);
  const last = events.at(-1)!;
  assert.ok(last.type === 'stopped' && last.name === 'one' && last.progress.ackedOffset === 20n);
  worker.send({ type: 'stop', name: 'one' });
});

test('a thread that ends stops its exporters first', async (t) => {
  const target = await startGrpcTarget(t, () => 'silent');
  const { log, directory, append } = await startPush(t);
  const events: PushEvent[] = [];
  const worker = startPushWorker({
    logDirectory: directory,
    logger: silentLogger,
    onEvent: (event) => events.push(event),
  });
  t.after(() => worker.terminate());
  await append(['0']);
  const config = { name: 'one', protocol: 'otlp-grpc', endpoint: target.endpoint } as const;
  worker.send({ type: 'start', config, from: 0n, durable: durableOf(log.status()) });
  while (target.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  worker.send({ type: 'end' });
  assert.equal(await worker.ended, null);
  assert.equal(events.filter(({ type }) => type === 'stopped').length, 1);
});

test('a thread that is terminated has ended as told', async (t) => {
  const { directory } = await startPush(t);
  const worker = startPushWorker({ logDirectory: directory, logger: silentLogger, onEvent: () => {} });
  worker.terminate();
  assert.equal(await worker.ended, null);
});

test('a thread is terminated at any moment of its work on files', async (t) => {
  const { log, directory, append } = await startPush(t);
  for (let i = 0; i < 40; i++) await append(Array.from({ length: 50 }, (_none, at) => `${i}.${at}`));
  const endpoint = join(scratchDirectory(t), 'out');
  const config = { name: 'one', protocol: 'parquet', endpoint } as const;
  for (let round = 0; round < 6; round++) {
    let tell = (): void => {};
    const told = new Promise<void>((resolve) => (tell = resolve));
    const worker = startPushWorker({ logDirectory: directory, logger: silentLogger, onEvent: () => tell() });
    worker.send({ type: 'start', config, from: 0n, durable: durableOf(log.status()) });
    if (round % 2 === 1) await Promise.race([told, worker.ended]);
    await sleep(round * 40);
    worker.terminate();
    assert.equal(await worker.ended, null);
  }
});

test('lines of a thread go through the logger of the process, without values of headers', async (t) => {
  const target = await startGrpcTarget(t);
  await target.stop();
  const { log, directory, append } = await startPush(t);
  const lines: [string, LogFields | undefined][] = [];
  const logger = { ...silentLogger, warn: (message: string, fields?: LogFields) => lines.push([message, fields]) };
  const worker = startPushWorker({ logDirectory: directory, logger, onEvent: () => {} });
  await append(['0']);
  const config = {
    name: 'one',
    protocol: 'otlp-grpc',
    endpoint: target.endpoint,
    headers: { token: 'geheim' },
  } as const;
  worker.send({ type: 'start', config, from: 0n, durable: durableOf(log.status()) });
  while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(lines[0]![0], 'Exporter has to wait');
  assert.match(String(lines[0]![1]!['reason']), /ECONNREFUSED/);
  assert.ok(!JSON.stringify(lines).includes('geheim'));
  worker.send({ type: 'end' });
  assert.equal(await worker.ended, null);
});

async function until(events: readonly PushEvent[], reached: (progress: ExporterProgress) => boolean): Promise<void> {
  while (!events.some((event) => event.type === 'progress' && reached(event.progress))) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
