import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BatchMalformedError, LIMITS } from '../../src/base/index.ts';
import { cborToJson } from '../../src/otap/cbor-json.ts';
import { decodeCbor } from '../../src/otap/cbor.ts';
import { seededRandom, mutate } from '../helpers/random.ts';

/** RFC 8949 appendix A, as JSON text of this server. */
const EXAMPLES: readonly (readonly [hex: string, json: string])[] = [
  ['00', '0'],
  ['17', '23'],
  ['1818', '24'],
  ['1903e8', '1000'],
  ['1a000f4240', '1000000'],
  ['1b000000e8d4a51000', '1000000000000'],
  ['1bffffffffffffffff', '18446744073709551615'],
  ['3bffffffffffffffff', '-18446744073709551616'],
  ['20', '-1'],
  ['3903e7', '-1000'],
  ['1b0020000000000001', '9007199254740993'],
  ['f90000', '0'],
  ['f98000', '-0'],
  ['f93c00', '1'],
  ['fb3ff199999999999a', '1.1'],
  ['f97bff', '65504'],
  ['fa47c35000', '100000'],
  ['fb7e37e43c8800759c', '1e+300'],
  ['f90001', '5.960464477539063e-8'],
  ['f90400', '0.00006103515625'],
  ['fbc010666666666666', '-4.1'],
  ['f97c00', '"Infinity"'],
  ['f97e00', '"NaN"'],
  ['f9fc00', '"-Infinity"'],
  ['fb7ff8000000000000', '"NaN"'],
  ['f4', 'false'],
  ['f5', 'true'],
  ['f6', 'null'],
  ['f7', 'null'],
  ['c11a514b67b0', '1363896240'],
  ['d74401020304', '"AQIDBA=="'],
  ['40', '""'],
  ['4401020304', '"AQIDBA=="'],
  ['60', '""'],
  ['6449455446', '"IETF"'],
  ['62225c', '"\\"\\\\"'],
  ['62c3bc', '"ü"'],
  ['64f0908591', '"𐅑"'],
  ['80', '[]'],
  ['83010203', '[1,2,3]'],
  ['8301820203820405', '[1,[2,3],[4,5]]'],
  ['a0', '{}'],
  ['a201020304', '{"1":2,"3":4}'],
  ['a26161016162820203', '{"a":1,"b":[2,3]}'],
  ['a2616101616102', '{"a":1,"a":2}'],
  ['a14101f6', '{"AQ==":null}'],
  ['5f42010243030405ff', '"AQIDBAU="'],
  ['7f657374726561646d696e67ff', '"streaming"'],
  ['9fff', '[]'],
  ['9f018202039f0405ffff', '[1,[2,3],[4,5]]'],
  ['bf61610161629f0203ffff', '{"a":1,"b":[2,3]}'],
  ['61ff', '"\ufffd"'],
];

test('examples of RFC 8949 become their JSON', () => {
  for (const [hex, json] of EXAMPLES) assert.equal(cborToJson(Buffer.from(hex, 'hex')), json, hex);
});

test('integers and floating-point numbers stay apart when decoded', () => {
  assert.equal(decodeCbor(Buffer.from('01', 'hex')), 1n);
  assert.equal(decodeCbor(Buffer.from('f93c00', 'hex')), 1);
});

test('what is not CBOR is refused, and is base64 and counted as JSON', () => {
  const malformed = [
    '',
    '18',
    '1c',
    'ff',
    '5f',
    '61',
    '8201',
    'a101',
    '0000',
    'f8',
    'e0',
    '7f4161ff',
    '5f5fffff',
    'bf01ff',
  ];
  malformed.push('9bffffffffffffffff', 'bbffffffffffffffff', '5b7fffffffffffffff', '9a7fffffff');
  const faults = { malformedValues: 0 };
  for (const hex of malformed) {
    const bytes = Buffer.from(hex, 'hex');
    assert.throws(() => decodeCbor(bytes), BatchMalformedError, hex);
    assert.equal(cborToJson(bytes, faults), JSON.stringify(bytes.toString('base64')), hex);
  }
  assert.equal(faults.malformedValues, malformed.length);
});

test('nesting is limited', () => {
  const nested = (depth: number) => Buffer.from(`${'81'.repeat(depth)}00`, 'hex');
  assert.equal(cborToJson(nested(LIMITS.cborDepthMax)), `${'['.repeat(64)}0${']'.repeat(64)}`);
  assert.throws(() => decodeCbor(nested(LIMITS.cborDepthMax + 1)), /nesting is deeper than 64/);
  assert.throws(() => decodeCbor(nested(1_000_000)), BatchMalformedError);
  assert.throws(() => decodeCbor(Buffer.alloc(1_000_000, 0xc1)), BatchMalformedError);
});

test('any bytes give valid JSON text', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      JSON.parse(cborToJson(bytes));
    }),
    { numRuns: 2000 },
  );
});

test('damaged values give valid JSON text', () => {
  const random = seededRandom(7);
  const value = Buffer.from('bf61610161629f0203fa47c35000ff63666f6f5f42010243030405ff6162fb3ff199999999999aff', 'hex');
  for (let run = 0; run < 5000; run++) JSON.parse(cborToJson(mutate(value, random)));
});
