/** Texts out of the pool are those that their bytes stand for, whatever came before them. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { TextPool } from '../../../src/materialize/scan/text-pool.ts';

/** More texts than the pool has places. */
const MANY = 20_000;

test('a pool reads what was written, also of texts that push each other out', () => {
  const pool = new TextPool();
  for (let round = 0; round < 2; round++)
    for (let at = 0; at < MANY; at++) assert.equal(read(pool, `pod-${at}`), `pod-${at}`);
  const texts = fc.array(fc.oneof(fc.string({ unit: 'binary', maxLength: 60 }), fc.constantFrom('', 'GET', '\ufeffa')));
  fc.assert(
    fc.property(texts, (all) => {
      for (const text of [...all, ...all]) assert.equal(read(pool, text), Buffer.from(text).toString());
    }),
  );
});

function read(pool: TextPool, text: string): string {
  const bytes = Buffer.from(`<${text}>`);
  return pool.text(bytes, 1, bytes.length - 1);
}
