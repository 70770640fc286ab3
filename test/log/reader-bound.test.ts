import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog, openLogReader } from '../../src/log/index.ts';
import { drain, scratch } from './log-helpers.ts';

test('I3: reader shows nothing above the durable position it was told, whatever the file holds', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  const send = () => log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('x')] });
  await send();
  const { durableOffset, segment, segmentBytes } = log.status();
  await send();
  const reader = openLogReader({ directory, from: 0n, durable: { durableOffset, segment, segmentBytes } });
  assert.deepEqual(
    drain(reader).map(({ offset }) => offset),
    [0n],
  );
  await log.close();
});
