/** The parts of exporters that need no target: offsets, lanes, pace, window, what answers mean. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createAckedOffsets, type OpenEntry } from '../../../src/api/push/acked-offsets.ts';
import { decodeBatchAnswer, decodeExportResponse, decodeRpcStatus } from '../../../src/api/push/answers.ts';
import { createBackoff } from '../../../src/api/push/backoff.ts';
import { createLane, type Load } from '../../../src/api/push/lane.ts';
import { otherCompression } from '../../../src/api/push/other-compression.ts';
import { grpcVerdict, httpVerdict } from '../../../src/api/push/verdicts.ts';
import { createWindow } from '../../../src/api/push/window.ts';
import { decodeOtlp, OTLP_CONTENT_TYPES } from '../../../src/otap/index.ts';
import { encodeBatchStatus } from '../../../src/api/grpc/batch-status.ts';

test('ackedOffset is the lowest offset that is begun and not ended, whatever the order of ends', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('begin' as const), gap: fc.nat(3), pieces: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ do: fc.constant('settle' as const), pick: fc.nat() }),
      fc.record({ do: fc.constant('split' as const), pick: fc.nat(), pieces: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ do: fc.constant('pass' as const), gap: fc.nat(3) }),
    ),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(steps, fc.bigInt({ min: 0n, max: 5n }), (program, from) => {
      const acked = createAckedOffsets(from);
      const open: { offset: bigint; pieces: number; entry: OpenEntry }[] = [];
      let read = from;
      for (const step of program) {
        if (step.do === 'begin') {
          const offset = read + BigInt(step.gap);
          open.push({ offset, pieces: step.pieces, entry: acked.begin(offset, step.pieces) });
          read = offset + 1n;
        } else if (step.do === 'pass') {
          read += BigInt(step.gap);
          acked.passedTo(read);
        } else if (open.length > 0) {
          const at = step.pick % open.length;
          const one = open[at]!;
          if (step.do === 'split') {
            one.entry.split(step.pieces);
            one.pieces += step.pieces - 1;
          } else {
            one.entry.settle();
            if (--one.pieces === 0) open.splice(at, 1);
          }
        }
        const lowest = open.reduce((low, { offset }) => (offset < low ? offset : low), read);
        assert.deepEqual([acked.ackedOffset, acked.readOffset, acked.open], [lowest, read, open.length]);
      }
    }),
  );
});

test('waits double up to their bound, with chance in them, and begin anew after a success', () => {
  let now = 0;
  const backoff = createBackoff({ minMs: 100, maxMs: 1_000, now: () => now, random: () => 0 });
  const waits: number[] = [];
  for (let i = 0; i < 6; i++) {
    backoff.failed(backoff.epoch());
    waits.push(backoff.waitMs());
    now += backoff.waitMs();
  }
  assert.deepEqual(waits, [50, 100, 200, 400, 500, 500]);
  backoff.succeeded();
  assert.equal(backoff.waitMs(), 0);
  backoff.failed(backoff.epoch());
  assert.equal(backoff.waitMs(), 50);
});

test('failures of one epoch count once, and a target that asks for time gets it', () => {
  const backoff = createBackoff({ minMs: 100, maxMs: 1_000, now: () => 0, random: () => 0 });
  const epoch = backoff.epoch();
  for (let i = 0; i < 5; i++) backoff.failed(epoch);
  assert.deepEqual([backoff.failures, backoff.waitMs()], [1, 50]);
  backoff.failed(epoch, 3_000);
  assert.equal(backoff.waitMs(), 3_000);
  backoff.succeeded();
  backoff.failed(backoff.epoch(), 0);
  assert.deepEqual([backoff.failures, backoff.waitMs()], [0, 0]);
});

test('a window lets in as many as it has room for, in order, and one at a time while it is narrow', async () => {
  const window = createWindow(2);
  const entered: number[] = [];
  const leaves: ((isOk: boolean) => void)[] = [];
  for (let i = 0; i < 6; i++) {
    void window.enter().then((leave) => {
      entered.push(i);
      leaves.push(leave);
    });
  }
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await turn();
  assert.deepEqual(entered, [0, 1]);
  window.narrow(2);
  leaves[0]!(false);
  await turn();
  assert.deepEqual(entered, [0, 1]);
  leaves[1]!(false);
  await turn();
  assert.deepEqual(entered, [0, 1, 2]);
  leaves[2]!(true);
  await turn();
  assert.deepEqual(entered, [0, 1, 2, 3]);
  leaves[3]!(true);
  await turn();
  assert.deepEqual(entered, [0, 1, 2, 3, 4, 5]);
});

test('a lane gives out again what comes back, in its place', () => {
  const lane = createLane({ pushMergedBatchesMax: 2, pushMergedBytesMax: 10, pushItemsMax: 10 });
  const entry = createAckedOffsets(0n).begin(0n, 1);
  const add = (offset: bigint, bytes: number): void => {
    const facts = { signal: 'logs' as const, offset, receivedAtUnixNano: 0n, items: 1 };
    lane.add({ batch: decodeOtlp('logs', new Uint8Array(0), OTLP_CONTENT_TYPES.PROTOBUF), facts, bytes, entry });
  };
  for (let offset = 0n; offset < 6n; offset++) add(offset, offset < 4n ? 5 : 6);
  const offsets = ({ shipments }: Load) => shipments.map(({ facts }) => facts.offset);
  const [first, second] = [lane.take(), lane.take()];
  assert.deepEqual(
    [offsets(first), offsets(second)],
    [
      [0n, 1n],
      [2n, 3n],
    ],
  );
  lane.divide(first);
  lane.divide(second);
  const again: bigint[][] = [];
  while (!lane.isEmpty) {
    const load = lane.take();
    again.push([...offsets(load)]);
    lane.settle(load, true);
  }
  assert.deepEqual(again.flat(), [0n, 1n, 2n, 3n, 4n, 5n]);
  assert.deepEqual(again.slice(-2), [[4n], [5n]], 'two of them have more bytes than one batch may have');
});

test('answers that are no answers say nothing and throw nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      assert.ok(decodeExportResponse(bytes).rejectedItems >= 0);
      const status = decodeRpcStatus(bytes);
      assert.ok(status === null || (status.retryAfterMs ?? 0) >= 0);
      decodeBatchAnswer(bytes);
    }),
  );
});

test('a BatchStatus is read as it was written', () => {
  for (const code of [0, 3, 14] as const) {
    for (const batchId of [0n, 1n, 2n ** 62n]) {
      assert.deepEqual(decodeBatchAnswer(encodeBatchStatus(batchId, code, 'why')), { batchId, code, message: 'why' });
    }
  }
});

test('verdicts tell what to try again, what to give up and whose fault it is', () => {
  const grpc = (code: number, message = '', retryAfterMs?: number) => {
    const verdict = grpcVerdict(code, message, retryAfterMs);
    return verdict.outcome === 'refused' ? verdict.fault : verdict.outcome;
  };
  assert.deepEqual(
    [1, 4, 10, 11, 14, 15].map((code) => grpc(code)),
    Array.from({ length: 6 }, () => 'retry'),
  );
  assert.deepEqual(
    [2, 3, 6, 8, 9, 13, 99].map((code) => grpc(code)),
    Array.from({ length: 7 }, () => 'batch'),
  );
  assert.deepEqual(
    [5, 7, 16].map((code) => grpc(code)),
    ['target', 'target', 'target'],
  );
  assert.deepEqual(
    [grpc(12), grpc(8, 'full', 5), grpc(8, 'received message larger than max')],
    ['unimplemented', 'retry', 'too-large'],
  );
  // A busy Collector says so without RetryInfo, and refuses what is above its bound as an invalid argument.
  assert.deepEqual(
    [grpc(8, 'rejecting request, too much pending data'), grpc(3, 'rejecting request, request is too large')],
    ['retry', 'too-large'],
  );
  const http = (status: number) => {
    const verdict = httpVerdict(status, '');
    return verdict.outcome === 'refused' ? verdict.fault : verdict.outcome;
  };
  assert.deepEqual([429, 502, 503, 504].map(http), ['retry', 'retry', 'retry', 'retry']);
  assert.deepEqual([301, 401, 403, 404, 405].map(http), ['target', 'target', 'target', 'target', 'target']);
  assert.deepEqual([400, 413, 422, 500].map(http), ['batch', 'too-large', 'batch', 'batch']);
});

test('another compression is tried when the target names others, or says that it knows not this one', () => {
  const end = (message: string, acceptEncoding: string | null) => ({
    code: 12,
    message,
    acceptEncoding,
    wasConnected: true,
  });
  assert.equal(otherCompression('zstd', end('', 'identity,gzip')), 'gzip');
  assert.equal(otherCompression('zstd', end('', 'identity')), 'none');
  assert.equal(otherCompression('gzip', end('unknown encoding', null)), 'none');
  assert.equal(otherCompression('zstd', end('unknown service', 'identity,zstd')), null);
  assert.equal(otherCompression('zstd', end('unknown method', null)), null);
  assert.equal(otherCompression('none', end('unknown encoding', null)), null);
});
