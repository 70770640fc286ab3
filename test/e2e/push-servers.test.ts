/**
 * Goal: servers that push to each other end with equal tables, from the beginning of the log and from its middle, also when the target is
 * stopped the moment that all is acknowledged.
 * Method: captured OTAP streams and OTLP requests are the log of a server process; its exporters, made by flag and over HTTP, push to
 * other server processes. Their DuckDB files are read back and compared with the source's, order-free, on all fields of both schemas.
 * Invariant: equal rows, each once; from the middle those of the entries from there; only their offsets are others.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SIGNAL_CODES, SIGNALS } from '../../src/base/index.ts';
import { openLog } from '../../src/log/index.ts';
import { captureNames, readArrowStreams, readCapture } from '../helpers/captures.ts';
import { appendCapture } from '../helpers/engine-log.ts';
import { assertSmooth, createExporter, untilSent } from '../helpers/exporter-api.ts';
import { mainRows } from '../helpers/main-rows.ts';
import { normalizedRows } from '../helpers/normalized-rows.ts';
import { assertSameLines } from '../helpers/row-comparison.ts';
import {
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';
import { openStoppedTables } from '../helpers/stopped-tables.ts';
import { canonicalLines } from '../helpers/telemetry-rows.ts';

const names = captureNames({ shared: false });

test('servers that one server pushes to by OTAP and OTLP, from the start and the middle, have its tables', async (t) => {
  const data = scratchDirectory(t);
  const middle = await writeLog(data);
  const [otap, otlp, late] = await Promise.all([startServer(t), startServer(t), startServer(t)]);
  const source = await startServer(t, data, ['--export', `otap=otap://${otap.grpc}?from=start`]);
  await createExporter(source, { name: 'otlp', protocol: 'otlp-grpc', endpoint: `http://${otlp.grpc}`, from: 'start' });
  await createExporter(source, {
    name: 'late',
    protocol: 'otap',
    endpoint: `http://${late.grpc}`,
    from: String(middle),
  });
  assertSmooth(await untilSent(source, 'otap'));
  // What is acknowledged is in the log, if not in the tables: another start has it.
  assert.equal(await otap.end('SIGTERM'), 0, otap.stderr());
  const again = await startServer(t, otap.data);
  for (const name of ['otlp', 'late']) assertSmooth(await untilSent(source, name));
  for (const server of [source, again, otlp, late]) {
    const { quarantine } = await untilMaterialized(server);
    assert.deepEqual(quarantine, { total: 0, newest: [] });
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  }
  const all = await linesOf(t, data);
  assertSame(await linesOf(t, otap.data), all, 'by otap');
  assertSame(await linesOf(t, otlp.data), all, 'by otlp');
  assertSame(await linesOf(t, late.data), await linesOf(t, data, middle), 'by otap from the middle');
});

/** Answers an offset with as many entries before it as behind it: streams have begun there. */
async function writeLog(data: string): Promise<bigint> {
  const log = await openLog({ directory: join(data, 'log') });
  for (const name of names) {
    if (readArrowStreams(name).some(({ messages }) => messages.length > 0)) await appendCapture(log, name);
    for (const { t: type, signal, body } of readCapture(name, 'expect')) {
      if (type !== 'otlp') continue;
      const headers = new Map([['content-type', 'application/x-protobuf']]);
      await log.appendOtlp(SIGNAL_CODES[signal!], { batchId: 0n, record: [body], headers });
    }
  }
  const { durableOffset } = log.status();
  await log.close();
  return durableOffset / 2n;
}

async function startServer(
  t: TestContext,
  data = scratchDirectory(t),
  flags: readonly string[] = [],
): Promise<ServerProcess> {
  const server = await startServerProcess(data, '127.0.0.1:0', flags);
  t.after(() => server.end('SIGKILL'));
  return server;
}

type Lines = Readonly<Record<string, string[]>>;

/** All rows of a stopped server, or those of the entries from an offset on. */
async function linesOf(t: TestContext, data: string, from = 0n): Promise<Lines> {
  const connection = await openStoppedTables(t, data);
  const range = { from, to: 1n << 62n };
  const lines: Record<string, string[]> = {};
  for (const signal of SIGNALS) {
    lines[`${signal} normalized`] = canonicalLines(await normalizedRows(connection, signal, { range, exact: true }));
    lines[`${signal} main`] = canonicalLines(await mainRows(connection, signal, range));
  }
  return lines;
}

function assertSame(actual: Lines, expected: Lines, what: string): void {
  for (const [name, lines] of Object.entries(expected)) {
    assert.ok(lines.length > 0);
    assertSameLines(actual[name]!, lines, `${what}: ${name}`);
  }
}
