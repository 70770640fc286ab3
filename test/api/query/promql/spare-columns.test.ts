import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOT_RESET } from '../../../../src/api/query/promql/histogram-columns.ts';
import type { HistogramForm } from '../../../../src/api/query/promql/histogram-form.ts';
import { giveBackColumns, takeColumns } from '../../../../src/api/query/promql/spare-columns.ts';

function formOf(positiveSize: number): HistogramForm {
  return {
    schema: 0,
    zeroThreshold: 0.5,
    customValues: new Float64Array(0),
    positiveFirst: 1,
    positiveSize,
    negativeFirst: 0,
    negativeSize: 0,
  };
}

test('columns that were given back are taken empty, with the room they had', () => {
  const columns = takeColumns();
  const form = columns.formNumber(formOf(100));
  for (let at = 0; at < 40; at++) {
    const index = columns.addEmpty(form, NOT_RESET);
    columns.pages[columns.pageOf[index]!]!.fill(7, columns.startOf[index], columns.startOf[index]! + 100);
    assert.ok(columns.weight(index) > 0);
  }
  const bytes = columns.ownBytes();
  giveBackColumns(columns);
  const again = takeColumns();
  assert.equal(again, columns);
  assert.notEqual(takeColumns(), columns);
  assert.equal(again.length, 0);
  assert.equal(again.ownBytes(), bytes);
  const other = again.formNumber(formOf(3));
  const weight = again.weight(again.addEmpty(other, NOT_RESET));
  for (let at = 1; at < 200; at++) {
    const index = again.addEmpty(other, NOT_RESET);
    assert.deepEqual(again.at(index).positive.counts, new Float64Array(0));
    assert.equal(again.weight(index), weight);
  }
  assert.equal(again.ownBytes(), bytes + 50 * 192);
});

test('columns that took much room are not kept', () => {
  const columns = takeColumns();
  columns.addEmpty(columns.formNumber(formOf(5_000_000)), NOT_RESET);
  giveBackColumns(columns);
  assert.notEqual(takeColumns(), columns);
});
