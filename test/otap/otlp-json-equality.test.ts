/**
 * OTLP/JSON against protobuf. Method: captured bodies of a Collector, captured and random requests written as JSON by
 * test/helpers/otlp-json.ts, and ProtoJSON written by protobuf-es. Invariant: the protobuf made from them says what the source says.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DescMessage, fromBinary, fromJsonString, type Message, toBinary, toJsonString } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { BatchMalformedError, type Signal, SIGNALS } from '../../src/base/index.ts';
import { inspectOtlpProtobuf } from '../../src/otap/otlp-inspector.ts';
import { otlpJsonToProtobuf } from '../../src/otap/otlp-json.ts';
import { captureNames, readCapture, sharedCapturesMissing } from '../helpers/captures.ts';
import { expectedRows } from '../helpers/expected-rows.ts';
import { anyCharacter, arbitraryRequest } from '../helpers/otlp-arbitrary.ts';
import { OTLP_REQUEST_SCHEMAS, toOtlpJson } from '../helpers/otlp-json.ts';
import { canonicalLines, type TelemetryRow } from '../helpers/telemetry-rows.ts';

const JSON_CAPTURE = 'otlp-http-json-gzip-1';
const SHARED_JSON_CAPTURE = 'otlp-http-json-none-1';

test("a Collector's JSON requests hold what went into it", () => {
  assertCapture(JSON_CAPTURE);
});

test("a Collector's large JSON requests hold what went into it", { skip: sharedCapturesMissing() }, () => {
  assertCapture(SHARED_JSON_CAPTURE);
});

test('captured requests are the same through JSON, with as many rows', () => {
  let requests = 0;
  for (const name of captureNames({ shared: false })) {
    for (const { t, signal, body } of readCapture(name, 'expect')) {
      if (t !== 'otlp' || signal === undefined) continue;
      requests++;
      const transcoded = otlpJsonToProtobuf(signal, Buffer.from(toOtlpJson(signal, body)));
      assertSame(signal, transcoded, body);
      assert.deepEqual(inspectOtlpProtobuf(signal, transcoded).counts, inspectOtlpProtobuf(signal, body).counts, name);
    }
  }
  assert.ok(requests > 100, `only ${requests} requests`);
});

for (const signal of SIGNALS) {
  const schema: DescMessage = OTLP_REQUEST_SCHEMAS[signal];

  test(`random ${signal} are the same through JSON`, () => {
    fc.assert(
      fc.property(arbitraryRequest(signal), (request) => {
        const body = toBinary(schema, request);
        assertSame(signal, otlpJsonToProtobuf(signal, Buffer.from(toOtlpJson(signal, body))), body);
      }),
      { numRuns: 300 },
    );
  });

  test(`random ${signal} without ids are what protobuf-es reads from its own JSON`, () => {
    const request = arbitraryRequest(signal, { hasIds: false });
    fc.assert(
      fc.property(
        request,
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (message, enumAsInteger, isSnakeCase, isEmitted) => {
          const text = toJsonString(schema, message, {
            enumAsInteger,
            useProtoFieldName: isSnakeCase,
            alwaysEmitImplicit: isEmitted,
            prettySpaces: enumAsInteger ? 0 : 2,
          });
          const transcoded = fromBinary(schema, otlpJsonToProtobuf(signal, Buffer.from(text)));
          assertSameMessage(schema, transcoded, fromJsonString(schema, text));
        },
      ),
      { numRuns: 200 },
    );
  });
}

test('unknown values are taken exactly where JSON.parse takes them', () => {
  const damage = fc.record({
    at: fc.nat(),
    drop: fc.nat({ max: 2 }),
    put: fc.constantFrom(
      '',
      '"',
      '\\',
      ',',
      '[',
      ']',
      '{',
      '}',
      ':',
      '0',
      '-',
      '.',
      'e',
      '+',
      'null',
      ' ',
      '\n',
      '\u0001',
      '\\u12',
    ),
  });
  let taken = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.json({ maxDepth: 4, stringUnit: anyCharacter }), fc.option(damage), (json, change) => {
      let value = json;
      if (change !== null) {
        const at = change.at % (json.length + 1);
        value = json.slice(0, at) + change.put + json.slice(at + change.drop);
      }
      const bytes = Buffer.from(`{"unknown":${value}}`);
      if (parses(bytes.toString())) {
        taken++;
        assert.equal(otlpJsonToProtobuf('logs', bytes).length, 0);
      } else {
        refused++;
        assert.throws(() => otlpJsonToProtobuf('logs', bytes), BatchMalformedError, value);
      }
    }),
    { numRuns: 2000 },
  );
  assert.ok(taken > 500 && refused > 300, `${taken} taken, ${refused} refused`);
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function assertCapture(name: string): void {
  const rows: TelemetryRow[] = [];
  let requests = 0;
  for (const { t, path, body } of readCapture(name)) {
    if (t !== 'request') continue;
    requests++;
    const signal = path!.slice('/v1/'.length) as Signal;
    rows.push(...expectedRows(signal, otlpJsonToProtobuf(signal, body), { exact: true }));
  }
  assert.ok(requests > 0, name);
  const expected = readCapture(name, 'expect').flatMap(({ t, signal, body }) =>
    t === 'otlp' ? expectedRows(signal!, body, { exact: true }) : [],
  );
  assert.deepEqual(canonicalLines(rows), canonicalLines(expected));
}

function assertSame(signal: Signal, actual: Uint8Array, expected: Uint8Array): void {
  const schema: DescMessage = OTLP_REQUEST_SCHEMAS[signal];
  assertSameMessage(schema, fromBinary(schema, actual), fromBinary(schema, expected));
}

/** Compares bytes, in which fields are in order: they tell -0 from 0, and what is present from what is not. */
function assertSameMessage(schema: DescMessage, actual: Message, expected: Message): void {
  if (Buffer.compare(toBinary(schema, actual), toBinary(schema, expected)) === 0) return;
  assert.deepEqual(actual, expected);
  assert.fail('the bytes differ, and the messages do not');
}
