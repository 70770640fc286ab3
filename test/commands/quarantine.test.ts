/**
 * Goal: what could not become rows, or not as it was sent, is seen by whoever asks for the status: how much, where, why.
 * Method: a log with a batch of invalid UTF-8, an entry that nobody can decode, and a good capture behind them; the real server, status in both forms.
 */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Uint16, Utf8, vectorFromArray } from 'apache-arrow';
import { SIGNAL_CODES } from '../../src/base/index.ts';
import { batchOfData, streamOf } from '../helpers/arrow-streams.ts';
import { appendCapture, openTestLog } from '../helpers/engine-log.ts';
import { encodeBatch } from '../helpers/otap-messages.ts';
import { runTreasury, startServer, temporaryDirectory } from './process.ts';

interface Status {
  readonly lag: number | null;
  readonly quarantine: { total: number; newest: { offset: number; projection: string; reason: string }[] };
  readonly engine: { repairedStrings: number };
}

test('status shows quarantined entries with their reasons, and repaired strings', async (context) => {
  const data = temporaryDirectory(context);
  await mkdir(join(data, 'log'));
  const log = await openTestLog(data);
  let bad = -1n;
  for (const record of [logsOfInvalidText(), Buffer.from([0xff, 0xff, 0xff])]) {
    const stream = log.openStream(SIGNAL_CODES.logs);
    bad = (await stream.append({ batchId: 0n, record: [record] })).offset;
    stream.close();
  }
  await appendCapture(log, 'telemetrygen-1');
  await log.close();

  const server = await startServer(context, data);
  const status = await caughtUp(server.http);
  assert.equal(status.quarantine.total, 1);
  const [quarantined] = status.quarantine.newest;
  assert.equal(quarantined?.offset, Number(bad));
  assert.equal(quarantined.projection, 'logs');
  assert.ok(quarantined.reason.length > 0);
  assert.equal(status.engine.repairedStrings, 1);
  const text = await runTreasury([
    'sql',
    'SELECT DISTINCT severity_text FROM logs',
    '--format',
    'csv',
    '--server',
    server.http,
  ]);
  assert.ok(text.stdout.includes('\u{fffd}roken'));
  const { stdout } = await runTreasury(['status', '--server', server.http]);
  assert.match(stdout, /quarantined entries\s+1\n/);
  assert.match(stdout, /strings repaired since the start\s+1\n/);
  assert.match(stdout, new RegExp(`\n${bad}\\s+logs\\s+${quarantined.reason.slice(0, 20)}`));
});

/** A logs batch with one severity text that is no UTF-8. */
function logsOfInvalidText(): Buffer {
  const record = streamOf([
    batchOfData({
      id: vectorFromArray([0], new Uint16()).data[0]!,
      severity_text: vectorFromArray(['broken'], new Utf8()).data[0]!,
    }),
  ]);
  record[Buffer.from(record.buffer).indexOf('broken')] = 0xff;
  return encodeBatch([{ name: 'LOGS', record }]);
}

async function caughtUp(url: string): Promise<Status> {
  for (;;) {
    const status = (await (await fetch(`${url}/treasury/v1/status`)).json()) as Status;
    if (status.lag === 0) return status;
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
}
