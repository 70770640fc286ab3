/** OTLP over HTTP into the real log: what is answered 200 is on the disk, byte for byte, and credentials are not. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createAdmission } from '../../../src/api/admission.ts';
import { type HttpListener, startOtlpHttpServer } from '../../../src/api/index.ts';
import { createOtlpIntake } from '../../../src/api/otlp/otlp-intake.ts';
import { LIMITS, SIGNAL_CODES, SIGNALS, silentLogger } from '../../../src/base/index.ts';
import { ENTRY_KINDS, type Log, type LogEntry, openLog, readEntries } from '../../../src/log/index.ts';
import { readCapture } from '../../helpers/captures.ts';
import { createOtlpHttpClient } from '../../helpers/otlp-client.ts';

async function start(t: TestContext): Promise<{ listener: HttpListener; log: Log; directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-otlp-'));
  const log = await openLog({ directory });
  const admission = createAdmission(LIMITS.inFlightReadBytesMax, LIMITS.inFlightBytesMax);
  const intake = createOtlpIntake({ log, logger: silentLogger, admission });
  const options = { host: '127.0.0.1', port: 0, intake, logger: silentLogger, corsOrigins: [] };
  const listener = await startOtlpHttpServer(options);
  t.after(async () => {
    await listener.stop();
    await log.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { listener, log, directory };
}

function entriesOf(directory: string): LogEntry[] {
  const entries: LogEntry[] = [];
  for (const entry of readEntries(directory, { from: 0n }))
    entries.push({ ...entry, record: Buffer.from(entry.record) });
  return entries;
}

function textOf(signal: number, record: Uint8Array, encoding: string | undefined): string {
  return `${signal} ${encoding} ${Buffer.from(record).toString('base64')}`;
}

for (const name of ['otlp-http-proto-zstd-1', 'otlp-http-proto-gzip-1', 'otlp-http-json-gzip-1']) {
  test(`every request of ${name}, sent at once in its own encoding, is in the log, verbatim`, async (t) => {
    const { listener, log, directory } = await start(t);
    const requests = readCapture(name)
      .filter((record) => record.t === 'request')
      .map(({ path, headers, body }) => ({
        signal: SIGNALS.find((each) => path === `/v1/${each}`)!,
        // Requests have theirs as pairs.
        headers: Object.fromEntries(headers as unknown as readonly (readonly [string, string])[]),
        body,
      }));
    assert.ok(requests.length > 0);
    const client = await createOtlpHttpClient(listener.address);
    const answers = await Promise.all(
      requests.map(({ signal, headers, body }) =>
        client.export(signal, body, {
          contentType: headers['content-type']!,
          encoding: headers['content-encoding']!,
          headers: { 'user-agent': headers['user-agent']! },
        }),
      ),
    );
    client.close();
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    await listener.stop();
    await log.close();
    const entries = entriesOf(directory);
    assert.ok(entries.every(({ kind }) => kind === ENTRY_KINDS.OTLP));
    const logged = entries.map(({ signal, record, headers }) =>
      textOf(signal, record, headers.get('content-encoding')),
    );
    const sent = requests.map(({ signal, headers, body }) =>
      textOf(SIGNAL_CODES[signal], body, headers['content-encoding']),
    );
    assert.deepEqual(logged.toSorted(), sent.toSorted());
  });
}

test('a credential among the headers of an export reaches no file, a harmless header reaches its entry', async (t) => {
  const { listener, log, directory } = await start(t);
  const client = await createOtlpHttpClient(listener.address);
  const secret = 'b5f2c1d0-not-for-disks';
  const names = ['authorization', 'api-key', 'x-honeycomb-team', 'cookie', 'x-amz-security-token', 'x-other'];
  const headers = Object.fromEntries(names.map((name) => [name, secret]));
  const { status } = await client.export('logs', Buffer.from('{}'), {
    contentType: 'application/json; charset=utf-8',
    headers: { ...headers, 'user-agent': 'harmless/1' },
  });
  client.close();
  assert.equal(status, 200);
  await listener.stop();
  await log.close();
  assert.deepEqual(Object.fromEntries(entriesOf(directory)[0]!.headers), {
    'content-type': 'application/json',
    'user-agent': 'harmless/1',
  });
  for (const file of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) assert.ok(!readFileSync(join(file.parentPath, file.name)).includes(secret), file.name);
  }
});
