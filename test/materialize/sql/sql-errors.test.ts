import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sqlError } from '../../../src/materialize/sql/sql-errors.ts';

test('failures of a query tell the limit, the store and the statement apart', () => {
  const codeOf = (message: string) => sqlError(new Error(message), null, 5).code;
  assert.equal(codeOf('Out of Memory Error: could not allocate block'), 'TREASURY_QUERY_LIMIT');
  assert.equal(codeOf('IO Error: could not read'), 'TREASURY_STORE');
  assert.equal(codeOf('INTERNAL Error: assertion'), 'TREASURY_STORE');
  assert.equal(codeOf('Binder Error: no such column'), 'TREASURY_QUERY_INVALID');
  assert.equal(sqlError(new Error('Interrupted'), 'timeout', 5).code, 'TREASURY_QUERY_LIMIT');
  assert.equal(sqlError(new Error('Interrupted'), 'cancelled', 5).code, 'TREASURY_QUERY_CANCELLED');
});
