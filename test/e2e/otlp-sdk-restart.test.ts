/**
 * Goal: nothing that the SDK was told is taken is lost, whatever becomes of the server.
 * Method: three real SDKs (gRPC, HTTP with protobuf, HTTP with JSON) record and flush without pause, while the server process is killed
 * -9 and restarted on the same ports; what their exporters called a success is compared with the tables.
 * Invariant: every acknowledged record is there, none that was not recorded; a record repeats only where a kill cut off the
 * acknowledgement of a request that the SDK then sent again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ValueType } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { freePort } from '../helpers/collector.ts';
import { listenToSdk, SDK_PROTOCOLS, type Sdk, type SdkProtocol, startSdk } from '../helpers/otlp-sdk.ts';
import {
  fetchSql,
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';

const KILLS = 3;
const LOGS_A_FLUSH = 20;
/** Longer than the SDK's first wait before it tries again, so that a kill meets requests on their way. */
const UP_MS = 2_000;
const PAUSE_MS = 20;
const GRPC_UNAVAILABLE = 14;

interface Writer {
  readonly protocol: SdkProtocol;
  readonly sdk: Sdk;
  /** Resolves after the first flush whose exports all succeeded once `stopped` is set. */
  readonly done: Promise<void>;
}

test(`SDKs over ${SDK_PROTOCOLS.join(', ')} lose nothing acknowledged through ${KILLS} kills`, async (t) => {
  const data = scratchDirectory(t);
  const grpc = `127.0.0.1:${await freePort()}`;
  const http = ['--otlp-http', `127.0.0.1:${await freePort()}`];
  let server = await startServerProcess(data, grpc, http);
  t.after(() => server.end('SIGKILL'));
  const heard = listenToSdk();
  t.after(() => heard.end());
  const life = { stopped: false };
  const writers = SDK_PROTOCOLS.map((protocol) => startWriter(protocol, server, life));
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(UP_MS + kill * 130);
    await server.end('SIGKILL');
    server = await startServerProcess(data, grpc, http);
  }
  life.stopped = true;
  await Promise.all(writers.map(({ done }) => done));
  await Promise.all(writers.map(({ sdk }) => sdk.stop()));
  await untilMaterialized(server);
  for (const { protocol, sdk } of writers) {
    const exports = Object.values(sdk.exports).flat().length;
    t.diagnostic(`${protocol}: ${exports} exports, ${failuresOf(sdk).length} failed`);
    await compare(server, protocol, sdk);
  }
  t.diagnostic(`tried again ${heard.retries.length} times`);
  assert.ok(heard.retries.length >= KILLS, `the SDK said ${heard.retries.length} times that it tries again`);
  assert.ok(failuresOf(writerOf(writers, 'grpc').sdk).some((error) => codeOf(error) === GRPC_UNAVAILABLE));
});

function startWriter(protocol: SdkProtocol, server: ServerProcess, life: { readonly stopped: boolean }): Writer {
  const resource = resourceFromAttributes({ 'service.name': protocol });
  const sdk = startSdk({ protocol, compression: 'gzip', server, resource });
  const logger = sdk.loggers.getLogger('writer');
  const tracer = sdk.tracers.getTracer('writer');
  const counter = sdk.meters.getMeter('writer').createCounter('flushes', { valueType: ValueType.INT });
  async function run(): Promise<void> {
    for (let flush = 0; ; flush++) {
      const isLast = life.stopped;
      for (let n = 0; n < LOGS_A_FLUSH; n++) logger.emit({ body: `${flush}.${n}` });
      tracer.startSpan(String(flush)).end();
      counter.add(1);
      const failedBefore = failuresOf(sdk).length;
      await sdk.flush();
      if (isLast && failuresOf(sdk).length === failedBefore) return;
      await sleep(PAUSE_MS);
    }
  }
  return { protocol, sdk, done: run() };
}

async function compare(server: ServerProcess, protocol: SdkProtocol, sdk: Sdk): Promise<void> {
  const { logs, spans, metrics } = sdk.exports;
  const isTaken = ({ error }: { error: Error | null }) => error === null;
  const where = `WHERE service_name = '${protocol}'`;
  const repeatedMax = protocol === 'grpc' ? 0 : KILLS;

  const inLogs = await countsOf(server, `SELECT body FROM logs ${where}`);
  const bodies = (kept: typeof logs) => kept.flatMap(({ item }) => item.map(({ body }) => String(body)));
  assertKept(inLogs, bodies(logs.filter(isTaken)), bodies(logs), repeatedMax * LOGS_A_FLUSH, `${protocol} logs`);

  const inSpans = await countsOf(server, `SELECT span_hex(span_id) FROM spans ${where}`);
  const ids = (kept: typeof spans) => kept.flatMap(({ item }) => item.map((span) => span.spanContext().spanId));
  assertKept(inSpans, ids(spans.filter(isTaken)), ids(spans), repeatedMax, `${protocol} spans`);

  const inSamples = await countsOf(server, `SELECT int_value FROM samples JOIN series USING (series_id) ${where}`);
  const values = (kept: typeof metrics) =>
    kept.flatMap(({ item }) => item.scopeMetrics.flatMap((scope) => scope.metrics.flatMap(pointValues)));
  assertKept(inSamples, values(metrics.filter(isTaken)), values(metrics), repeatedMax, `${protocol} points`);
}

function pointValues(metric: { dataPoints: readonly { value: unknown }[] }): string[] {
  return metric.dataPoints.map(({ value }) => String(value));
}

function assertKept(
  found: ReadonlyMap<string, number>,
  acknowledged: readonly string[],
  recorded: readonly string[],
  repeatedMax: number,
  what: string,
): void {
  assert.ok(acknowledged.length > 0, `${what}: nothing was acknowledged`);
  assert.deepEqual(
    acknowledged.filter((item) => !found.has(item)),
    [],
    `${what}: acknowledged and lost`,
  );
  const sent = new Map<string, number>();
  for (const item of recorded) sent.set(item, (sent.get(item) ?? 0) + 1);
  assert.deepEqual(
    [...found.keys()].filter((item) => !sent.has(item)),
    [],
    `${what}: never recorded`,
  );
  // A cumulative point that did not change is exported again by the SDK itself.
  const repeated = [...found].reduce((sum, [item, count]) => sum + Math.max(0, count - sent.get(item)!), 0);
  assert.ok(repeated <= repeatedMax, `${what}: ${repeated} came twice, ${repeatedMax} can have been in flight`);
}

async function countsOf(server: ServerProcess, query: string): Promise<ReadonlyMap<string, number>> {
  const rows = await fetchSql(server, `SELECT item, count(*) FROM (${query}) AS found(item) GROUP BY item`);
  return new Map(rows.map(([item, count]) => [String(item), Number(count)]));
}

function failuresOf({ exports }: Sdk): Error[] {
  return Object.values(exports).flatMap((kept) => kept.flatMap(({ error }) => error ?? []));
}

function writerOf(writers: readonly Writer[], protocol: SdkProtocol): Writer {
  return writers.find((writer) => writer.protocol === protocol)!;
}

function codeOf(error: Error): unknown {
  return 'code' in error ? error.code : undefined;
}
