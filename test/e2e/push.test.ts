/**
 * Goal: what one treasury pushes is in the tables of another as it came into the first, whatever the protocol.
 * Method: the requests that went into captured Collectors, and the OTAP streams that came out of them, are in a real log; exporters send
 * it to a real server process; its DuckDB file is read back and compared with the requests, order-free, on all fields of both schemas.
 * Invariant: equal rows, each once; only their offsets are others.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { SenderConfig } from '../../src/api/push/open-sender.ts';
import { SIGNAL_CODES, type Signal, SIGNALS } from '../../src/base/index.ts';
import { decodeOtlp } from '../../src/otap/index.ts';
import { countItems } from '../../src/otap/count-items.ts';
import { type PushFixture, startPush } from '../api/push/push-fixture.ts';
import { captureNames, type CaptureRecord, readArrowStreams, readCapture } from '../helpers/captures.ts';
import { appendCapture } from '../helpers/engine-log.ts';
import { assertRows, type ExpectedLines, expectedLines } from '../helpers/row-comparison.ts';
import {
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';
import { openStoppedTables } from '../helpers/stopped-tables.ts';

const PROTOCOLS = ['otap', 'otlp-grpc', 'otlp-http'] as const;
const NOTHING = { total: 0, newest: [] };
const names = captureNames({ shared: false });
const arrowNames = names.filter((name) => readArrowStreams(name).some(({ messages }) => messages.length > 0));

for (const protocol of PROTOCOLS) {
  test(`OTLP requests that are pushed by ${protocol} are in the tables of another treasury`, async (t) => {
    const { push, server } = await startBoth(t);
    const records = names.flatMap((name) => readCapture(name, 'expect')).filter(({ t: type }) => type === 'otlp');
    for (const { signal, body } of records as (CaptureRecord & { signal: Signal })[]) {
      const headers = new Map([['content-type', 'application/x-protobuf']]);
      await push.log.appendOtlp(SIGNAL_CODES[signal], { batchId: 0n, record: [body], headers });
    }
    assert.equal(await pushAll(push, server, protocol), itemsOf(names));
    await assertSame(t, server, [expectedLines(records, { exact: true })], { exact: true });
  });

  test(`OTAP streams that are pushed by ${protocol} are in the tables of another treasury`, async (t) => {
    const { push, server } = await startBoth(t);
    for (const name of arrowNames) await appendCapture(push.log, name);
    assert.equal(await pushAll(push, server, protocol), itemsOf(arrowNames));
    await assertSame(
      t,
      server,
      arrowNames.map((name) => expectedLines(readCapture(name, 'expect'))),
      {},
    );
  });
}

/** Records, spans and points that went into Collectors. */
function itemsOf(captures: readonly string[]): number {
  const requests = captures.flatMap((name) => readCapture(name, 'expect')).filter(({ t: type }) => type === 'otlp');
  return requests.reduce(
    (sum, { signal, body }) => sum + countItems(decodeOtlp(signal!, body, 'application/x-protobuf')),
    0,
  );
}

async function startBoth(t: TestContext): Promise<{ push: PushFixture; server: ServerProcess }> {
  const server = await startServerProcess(scratchDirectory(t));
  t.after(() => server.end('SIGKILL'));
  return { push: await startPush(t), server };
}

/** Answers how many items the exporter counts as sent. */
async function pushAll(push: PushFixture, server: ServerProcess, protocol: SenderConfig['protocol']): Promise<number> {
  const endpoint = `http://${protocol === 'otlp-http' ? server.otlpHttp : server.grpc}`;
  push.start({ name: 'test', protocol, endpoint });
  const progress = await push.untilSent();
  assert.deepEqual([push.setAside, progress.retries, progress.rejectedItems], [[], 0, 0]);
  const { quarantine, lost } = await untilMaterialized(server);
  assert.deepEqual([quarantine, lost], [NOTHING, NOTHING], 'what was acknowledged did not all become rows');
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  return progress.sentItems;
}

async function assertSame(
  t: TestContext,
  server: ServerProcess,
  parts: readonly ExpectedLines[],
  options: { readonly exact?: boolean },
): Promise<void> {
  const connection = await openStoppedTables(t, server.data);
  const linesOf = (signal: Signal) => ({
    normalized: parts.flatMap((part) => part[signal].normalized).toSorted(),
    main: parts.flatMap((part) => part[signal].main).toSorted(),
  });
  const expected = Object.fromEntries(SIGNALS.map((signal) => [signal, linesOf(signal)])) as ExpectedLines;
  await assertRows(connection, expected, { what: 'pushed', ...options });
}
