import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SIGNAL_CODES } from '../../src/base/index.ts';
import type { Engine } from '../../src/materialize/types.ts';
import { seeTableChanges, type TableChangesSeen } from '../../src/materialize/table-changes.ts';
import { OTLP_CONTENT_TYPES } from '../../src/otap/index.ts';
import { durableOf, engineUntil, openTestLog, startTestEngine } from '../helpers/engine-log.ts';

const HOUR_MS = 3_600_000;

test('an engine counts commits, tables put in place, rows that go for their age, and its end, and the next engine goes on', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'table-changes-'));
  const log = await openTestLog(directory);
  t.after(async () => {
    await log.close();
    await rm(directory, { recursive: true });
  });
  const seen = ({ tableChanges }: Engine): TableChangesSeen => seeTableChanges(tableChanges!);

  const first = await startTestEngine(directory, log.status());
  const atStart = seen(first);
  const record = Buffer.from(JSON.stringify(logsAt(1)));
  await log.appendOtlp(SIGNAL_CODES.logs, {
    batchId: 0n,
    record: [record],
    headers: new Map([['content-type', OTLP_CONTENT_TYPES.JSON]]),
  });
  first.advance(durableOf(log.status()));
  const { durableOffset } = log.status();
  await engineUntil(first, (status) => status.materializedOffset >= durableOffset);
  const filled = seen(first);
  assert.ok(filled.appended > atStart.appended);
  assert.equal(filled.removed, atStart.removed);
  await first.rebuildProjection('logs');
  while (seen(first).removed === filled.removed) await first.status();
  const rebuilt = seen(first);
  await first.stop();
  const ended = seen(first);
  assert.ok(ended.removed > rebuilt.removed);

  const second = await startTestEngine(directory, log.status(), undefined, {
    retentionAgeMs: HOUR_MS,
    retentionClockUnixMs: Date.now() + 2 * HOUR_MS,
  });
  t.after(() => second.stop());
  assert.equal(second.tableChanges, first.tableChanges);
  await engineUntil(second, ({ retention }) => (retention.rowsDeleted['logs'] ?? 0) > 0);
  const before = ended.removed + 1;
  while (seen(second).removed <= before) await second.status();
});

/** A log record of `seconds` after 1970. */
function logsAt(seconds: number): object {
  const timeUnixNano = `${seconds}000000000`;
  return { resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano, body: { stringValue: 'old' } }] }] }] };
}
