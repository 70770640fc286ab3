/**
 * Damaged batches. Goal: whatever arrives gives BatchMalformedError or a batch that keeps the rules of canonical.ts; nothing else is
 * thrown, nothing hangs, no dictionary memory is lost. Method: seeded mutations of real batches, of their payloads, and of payloads
 * written again without compression, so that damage reaches the values.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { CompressionType, compressionRegistry, RecordBatchReader } from 'apache-arrow';
import { BatchMalformedError, type Signal } from '../../src/base/index.ts';
import { scanBatchEnvelope } from '../../src/otap/batch-envelope.ts';
import {
  createStreamDecoder,
  decompressZstd,
  initZstd,
  type PayloadName,
  payloadName,
  type StreamDecoder,
} from '../../src/otap/index.ts';
import { streamOf } from '../helpers/arrow-streams.ts';
import { checkBatch } from '../helpers/batch-invariants.ts';
import { readArrowStreams } from '../helpers/captures.ts';
import { encodeBatch } from '../helpers/otap-messages.ts';
import { mutate, seededRandom } from '../helpers/random.ts';

const RUNS = 120;
const SEED = 20_261_122;

before(async () => {
  await initZstd();
  compressionRegistry.set(CompressionType.ZSTD, { decode: (bytes) => decompressZstd(bytes, 1 << 26) });
});

for (const name of ['odd-1', 'empties-1', 'hostmetrics-1']) {
  test(`damaged messages of ${name} are refused or decode to sound batches`, () => {
    for (const { arrowSignal, messages } of readArrowStreams(name)) {
      const random = seededRandom(SEED);
      for (let run = 0; run < RUNS && messages.length > 0; run++) {
        const decoder = createStreamDecoder(arrowSignal);
        const damagedAt = random.below(messages.length);
        for (const [i, message] of messages.entries()) {
          tryDecode(decoder, i === damagedAt ? mutate(message, random) : message);
        }
        checkRelease(decoder);
      }
    }
  });
}

test('damaged values, offsets and indices are refused or decode to sound batches', () => {
  let refused = 0;
  let decoded = 0;
  for (const name of ['odd-1', 'rich-1']) {
    for (const { arrowSignal, messages } of readArrowStreams(name)) {
      const parts = plainPayloads(messages[0]!);
      const random = seededRandom(SEED + 1);
      for (let run = 0; run < RUNS; run++) {
        const target = random.below(parts.length);
        const damaged = parts.map((part, i) =>
          i === target ? { ...part, record: mutate(part.record, random) } : part,
        );
        const decoder = createStreamDecoder(arrowSignal);
        if (tryDecode(decoder, encodeBatch(damaged))) decoded++;
        else refused++;
        checkRelease(decoder);
      }
    }
  }
  // Both ways out are taken often, else the damage does not reach what it is for.
  assert.ok(refused > RUNS / 4 && decoded > RUNS / 4, `${refused} refused, ${decoded} decoded`);
});

test('payload types shuffled among payloads are refused or decode to sound batches', () => {
  for (const { arrowSignal, messages } of readArrowStreams('rich-1')) {
    const random = seededRandom(SEED + 2);
    const parts = plainPayloads(messages[0]!);
    for (let run = 0; run < 50; run++) {
      const shuffled = parts.map((part) => ({ ...part, name: random.pick(parts).name }));
      tryDecode(createStreamDecoder(arrowSignal), encodeBatch(shuffled));
    }
  }
});

test('damaged state records are refused or restore a sound state', () => {
  for (const { arrowSignal, messages } of readArrowStreams('hostmetrics-1')) {
    const random = seededRandom(SEED + 3);
    const decoder = createStreamDecoder(arrowSignal as Signal);
    for (let run = 0; run < RUNS && messages.length > 1; run++) {
      try {
        decoder.restoreState(mutate(messages[0]!, random));
      } catch (error) {
        assert.ok(error instanceof BatchMalformedError, String(error));
      }
      tryDecode(decoder, messages[1]!);
    }
    checkRelease(decoder);
  }
});

/** Whether the message decoded. Anything but a batch or BatchMalformedError fails the test. */
function tryDecode(decoder: StreamDecoder, message: Uint8Array): boolean {
  try {
    checkBatch(decoder.decode(message));
    return true;
  } catch (error) {
    if (error instanceof BatchMalformedError) return false;
    throw error;
  }
}

/** Dictionary memory is counted right when forgetting everything leaves nothing. */
function checkRelease(decoder: StreamDecoder): void {
  decoder.restoreState(encodeBatch([]));
  assert.equal(decoder.stateBytes, 0);
}

/** The payloads of a stream's first batch, written again without compression. */
function plainPayloads(message: Buffer) {
  return scanBatchEnvelope(message).payloads.map((payload) => ({
    name: payloadName(payload.type) as PayloadName,
    schemaId: payload.schemaId,
    record: streamOf([...RecordBatchReader.from(message.subarray(payload.start, payload.end))]),
  }));
}
