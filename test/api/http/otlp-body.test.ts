/**
 * The time that a body may be silent. Sender and reader share one event loop, whose timers fire in the order of their times: however
 * slow the machine is, a part that is due before the end of the silence comes before it.
 */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { createArrivingBodies } from '../../../src/api/http/otlp-arriving.ts';
import { readBody } from '../../../src/api/http/otlp-body.ts';
import { OtlpHttpError } from '../../../src/api/http/otlp-error.ts';

const STALL_MAX_MS = 80;
const PART_INTERVAL_MS = 20;

function begin() {
  const sender = new PassThrough();
  const arriving = createArrivingBodies(100);
  const reading = readBody(sender as unknown as IncomingMessage, {
    bytesMax: 100,
    announcedBytes: null,
    arriving,
    stallMaxMs: STALL_MAX_MS,
  });
  const send = async (text: string): Promise<void> => {
    for (const part of text) {
      sender.write(part);
      await new Promise((resolve) => setTimeout(resolve, PART_INTERVAL_MS));
    }
  };
  return { sender, reading, send };
}

test('a slow body is whole as long as it goes on, however long it takes', async () => {
  const { sender, reading, send } = begin();
  await send('slow body');
  sender.end();
  assert.equal((await reading.body)?.toString(), 'slow body');
  assert.equal(reading.fail(new OtlpHttpError(408, 'late')), false);
});

test('a body that falls silent is given up with 503', async () => {
  const { reading, send } = begin();
  const given = assert.rejects(reading.body, (error) => error instanceof OtlpHttpError && error.status === 503);
  await send('half');
  await given;
});
