import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BATCH_STATUS_CODES, encodeBatchStatus, peekBatchId } from '../../../src/api/grpc/batch-status.ts';
import { printable } from '../../../src/api/grpc/encodings.ts';
import { decodeBatchStatus } from '../../helpers/otap-client.ts';
import { messagesOf } from './grpc-fixture.ts';

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

test('encodeBatchStatus writes what a reader gets back', () => {
  fc.assert(
    fc.property(int64, fc.constantFrom(...Object.values(BATCH_STATUS_CODES)), fc.string(), (batchId, code, message) => {
      assert.deepEqual(decodeBatchStatus(encodeBatchStatus(batchId, code, message)), { batchId, code, message });
    }),
  );
});

test('encodeBatchStatus leaves defaults out', () => {
  assert.equal(encodeBatchStatus(0n, BATCH_STATUS_CODES.OK, '').length, 0);
  assert.deepEqual([...encodeBatchStatus(300n, BATCH_STATUS_CODES.UNAVAILABLE, 'x')], [8, 0xac, 2, 16, 14, 26, 1, 120]);
});

test('peekBatchId finds the id of real batches', () => {
  for (const [index, message] of messagesOf('rich-1', 'metrics').entries()) {
    assert.equal(peekBatchId(message), BigInt(index));
  }
});

test('peekBatchId finds an id behind other fields, and the default where there is none', () => {
  fc.assert(
    fc.property(int64, fc.uint8Array({ maxLength: 200 }), (batchId, payload) => {
      const other = Buffer.concat([
        encodeBatchStatus(0n, 0, 'x'.repeat(payload.length)),
        Buffer.from([0x11, ...Array(8).fill(1)]),
      ]);
      const id = encodeBatchStatus(batchId, 0, '');
      assert.equal(peekBatchId(Buffer.concat([other, id])), batchId);
      assert.equal(peekBatchId(other), 0n);
    }),
  );
});

test('peekBatchId gives no id for what it cannot walk', () => {
  assert.equal(peekBatchId(Buffer.from([0x12, 200, 1])), undefined);
  assert.equal(peekBatchId(Buffer.from([0x11, 1])), undefined);
  assert.equal(peekBatchId(Buffer.from([0x0b])), undefined);
  assert.equal(peekBatchId(Buffer.alloc(20, 0xff)), undefined);
});

test('peekBatchId never throws', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void peekBatchId(bytes)));
});

test('printable text can stand in a status whatever it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const safe = printable(`${text}\ud800`.repeat(100));
      assert.equal(decodeURI(encodeURI(safe.replaceAll('%', ''))), safe.replaceAll('%', ''));
      assert.ok(safe.length <= 512);
    }),
  );
});
