import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { BatchMalformedError, LIMITS, type Signal } from '../../src/base/index.ts';
import { inspectOtlp, OTLP_CONTENT_TYPES } from '../../src/otap/index.ts';
import { inspectOtlpProtobuf } from '../../src/otap/otlp-inspector.ts';
import { otlpJsonToProtobuf } from '../../src/otap/otlp-json.ts';
import type { AnyValue } from '../gen/opentelemetry/proto/common/v1/common_pb.js';
import type { LogRecord } from '../gen/opentelemetry/proto/logs/v1/logs_pb.js';
import { SeverityNumber } from '../gen/opentelemetry/proto/logs/v1/logs_pb.js';
import type { Metric, NumberDataPoint } from '../gen/opentelemetry/proto/metrics/v1/metrics_pb.js';
import { AggregationTemporality } from '../gen/opentelemetry/proto/metrics/v1/metrics_pb.js';
import type { Span } from '../gen/opentelemetry/proto/trace/v1/trace_pb.js';
import { Span_SpanKind, Status_StatusCode } from '../gen/opentelemetry/proto/trace/v1/trace_pb.js';
import { anyCharacter } from '../helpers/otlp-arbitrary.ts';
import { OTLP_REQUEST_SCHEMAS } from '../helpers/otlp-json.ts';

const LOG_PREFIX = '{"resourceLogs":[{"scopeLogs":[{"logRecords":[';
const LOG_PATH = 'resourceLogs[0].scopeLogs[0].logRecords[0]';
const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

/** The request around one log record, span or metric. */
const AROUND: Readonly<Record<Signal, (row: string) => string>> = {
  logs: (row) => `${LOG_PREFIX}${row}]}]}]}`,
  traces: (row) => `{"resourceSpans":[{"scopeSpans":[{"spans":[${row}]}]}]}`,
  metrics: (row) => `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[${row}]}]}]}`,
};

test('fields are found by their names in camel case, snake case and with escapes', () => {
  for (const name of ['timeUnixNano', 'time_unix_nano', '\\u0074ime\\u0055nixNano', 'time\\u005funix_nano']) {
    assert.equal(log(`{"${name}":"5"}`).timeUnixNano, 5n, name);
  }
  const snake = '{"resource_logs":[{"scope_logs":[{"log_records":[{"severity_text":"a"}],"schema_url":"u"}]}]}';
  const scoped = fromBinary(OTLP_REQUEST_SCHEMAS.logs, transcode('logs', snake)).resourceLogs[0]!.scopeLogs[0]!;
  assert.deepEqual([scoped.schemaUrl, scoped.logRecords[0]!.severityText], ['u', 'a']);
});

test('names are exact: other letter case, prefixes and longer names are unknown', () => {
  for (const name of ['TimeUnixNano', 'timeunixnano', 'timeUnixNan', 'timeUnixNanos', 'time_unixNano', '']) {
    assert.equal(log(`{"${name}":"5"}`).timeUnixNano, 0n, name);
  }
});

test('unknown fields are skipped whatever they hold', () => {
  const value = '{"timeUnixNano":[1,-2.5e-3,"\\"\\u00e9",true,false,null,{},[],[[{"a":[]}]],{"a":{"b":1},"c":2}]}';
  const record = log(`{"zzz":${value},"severityText":"after","entityRefs":[${value}]}`);
  assert.deepEqual([record.timeUnixNano, record.severityText], [0n, 'after']);
});

test('what is in unknown fields must be JSON', () => {
  for (const value of [
    'tru',
    'nul',
    '01',
    '1.',
    '.5',
    '+1',
    '1e',
    '-',
    'NaN',
    "'a'",
    '[1,]',
    '{"a"}',
    '{"a":1,}',
    '{1:2}',
    '[1 2]',
    '"\\x"',
    '"\\u12g4"',
    '"\n"',
    '',
  ]) {
    const { field } = refusal('logs', `{"zzz":${value}}`);
    assert.ok(field === 'zzz' || field === 'ExportLogsServiceRequest', `${value}: ${field}`);
  }
});

test('an empty body, {} and null lists are requests without anything', () => {
  for (const text of ['', '{}', ' \t\r\n{ } \n', '{"resourceLogs":[]}', '{"resourceLogs":null}', '\ufeff{}']) {
    assert.equal(transcode('logs', text).length, 0, JSON.stringify(text));
  }
});

test('a top level that is no object is malformed', () => {
  for (const text of ['[]', 'null', '5', '"a"', 'true', ' ', '\ufeff', '{', 'x', '\u0000', '\ufeff\ufeff{}']) {
    assert.equal(refusal('logs', text).field, 'ExportLogsServiceRequest', JSON.stringify(text));
  }
});

test('what follows the request is malformed, and told where', () => {
  for (const [text, position] of [
    ['{} x', 3],
    ['{}{}', 2],
    ['{}\u0000', 2],
    ['{},', 2],
  ] as const) {
    assert.equal(refusal('logs', text).position, position, text);
  }
});

test('white space may stand between all tokens, and no other', () => {
  const spaced =
    ' { "resourceLogs"\t:\n[ { "scopeLogs" : [ {\r\n"logRecords" : [ { "severityNumber" : 9 , "flags" : 1 } ] } ] } ] } ';
  assert.equal(logsOf(spaced)[0]!.severityNumber, 9);
  assert.equal(refusal('logs', '{\u00a0}').position, 1);
  assert.equal(refusal('logs', '{\u000b}').position, 1);
});

test('errors name the field by its path and the byte', () => {
  const before = '{"resource":{"attributes":[{"key":"k","value":{"intValue":1}}]}}';
  const text = `{"resourceLogs":[${before},{"scopeLogs":[{"scope":{}},{"log_records":[{},{"flags":1,"traceId":"0g"}]}]}]}`;
  assert.deepEqual(refusal('logs', text), {
    field: 'resourceLogs[1].scopeLogs[1].logRecords[1].traceId',
    position: text.indexOf('0g'),
  });
  assert.throws(() => transcode('logs', text), {
    name: 'BatchMalformedError',
    message: `Cannot read resourceLogs[1].scopeLogs[1].logRecords[1].traceId: its value is "0g", not hex digits, at byte ${text.indexOf('0g')}`,
  });
  assert.throws(() => transcode('logs', '{"resourceLogs":[{"scopeLogs":7}]}'), {
    message: 'Cannot read resourceLogs[0].scopeLogs: it is a number, not an array, at byte 30',
  });
  assert.throws(() => transcode('logs', '{"resourceLogs":[{} {}]}'), {
    message: 'Cannot read resourceLogs: an object follows an element, not , or ], at byte 20',
  });
});

test('positions in the protobuf that JSON was turned into are told as such', () => {
  const rejected = inspectOtlp('logs', Buffer.from(AROUND.logs('{"traceId":"0102"},{}')), OTLP_CONTENT_TYPES.JSON);
  assert.match(
    rejected.rejection!,
    /^Cannot read LogRecord.trace_id: .+, at byte \d+ of the same request in protobuf$/,
  );
  let value = '{}';
  for (let depth = 0; depth <= LIMITS.cborDepthMax; depth++) value = `{"arrayValue":{"values":[${value}]}}`;
  const resource = `{"resourceLogs":[{"resource":{"attributes":[{"value":${value}}]}}]}`;
  assert.throws(
    () => inspectOtlp('logs', Buffer.from(resource), OTLP_CONTENT_TYPES.JSON),
    (error) =>
      error instanceof BatchMalformedError &&
      /nested deeper than .+ of the same request in protobuf$/.test(error.message) &&
      typeof error.facts['position'] === 'number',
  );
});

test('long names and values are cut in errors', () => {
  const long = 'n'.repeat(5000);
  assert.ok(refusal('logs', `{"${long}":x}`).field.length < 100);
  assert.throws(
    () => transcode('logs', AROUND.logs(`{"traceId":"${long}"}`)),
    (error: Error) => error.message.length < 300,
  );
});

test('ids are hex in either case', () => {
  const record = log('{"traceId":"5B8EFFF798038103d269b633813fc60c","spanId":"EEE19B7EC3C1B174"}');
  assert.equal(Buffer.from(record.traceId).toString('hex'), '5b8efff798038103d269b633813fc60c');
  assert.equal(Buffer.from(record.spanId).toString('hex'), 'eee19b7ec3c1b174');
  const { parentSpanId, links } = span('{"parentSpanId":"0102030405060708","links":[{"spanId":"0900000000000000"}]}');
  assert.equal(Buffer.from(parentSpanId).toString('hex'), '0102030405060708');
  assert.equal(Buffer.from(links[0]!.spanId).toString('hex'), '0900000000000000');
});

test('an empty id is none, and one of a wrong length is for the inspector to reject', () => {
  assert.equal(log('{"traceId":"","spanId":""}').traceId.length, 0);
  const text = AROUND.logs('{"traceId":"0102"},{"severityNumber":1}');
  const { rows, rejectedRows } = inspectOtlpProtobuf('logs', transcode('logs', text));
  assert.deepEqual({ rows, rejectedRows }, { rows: 1, rejectedRows: 1 });
});

test('ids that are not hex are malformed', () => {
  for (const id of ['"0"', '"012"', '"0g"', '"g0"', '"é"', '"W47/94gDgQPSabYzgT/GDA=="', '5', '[1]']) {
    assert.equal(refusal('logs', AROUND.logs(`{"traceId":${id}}`)).field, `${LOG_PATH}.traceId`, id);
  }
  // A digit of the longer text before must not make up for the one that lacks.
  for (const id of ['"\\u0030"', '"01\\u0032"']) {
    const record = `{"severityText":"\\u0041${'0'.repeat(40)}","traceId":${id}}`;
    assert.equal(refusal('logs', AROUND.logs(record)).field, `${LOG_PATH}.traceId`, id);
  }
});

test('bytes are base64, standard or URL-safe, with or without padding', () => {
  for (const [text, hex] of [
    ['', ''],
    ['+/+/', 'fbffbf'],
    ['-_-_', 'fbffbf'],
    ['AQ==', '01'],
    ['AQ', '01'],
    ['AQI=', '0102'],
    ['AQI', '0102'],
    ['AQID', '010203'],
    ['\\u0041QID', '010203'],
  ] as const) {
    const { value } = body(`{"bytesValue":"${text}"}`);
    assert.ok(value.case === 'bytesValue');
    assert.equal(Buffer.from(value.value).toString('hex'), hex, text);
  }
  for (const text of [
    'A',
    'AQIDA',
    'AQ=',
    'A===',
    '====',
    '=',
    'AQ==AQ==',
    'AQI=A',
    'A*ID',
    'AQ ID',
    'é',
    'AQID====',
  ]) {
    assert.equal(
      refusal('logs', AROUND.logs(`{"body":{"bytesValue":"${text}"}}`)).field,
      `${LOG_PATH}.body.bytesValue`,
      text,
    );
  }
});

test('64-bit integers are exact as text and as numbers over their whole range', () => {
  const edges = [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n + 1n, INT64_MAX, -INT64_MAX - 1n, -1n, -(2n ** 32n)];
  fc.assert(
    fc.property(fc.oneof(fc.bigInt({ min: -INT64_MAX - 1n, max: INT64_MAX }), fc.constantFrom(...edges)), (value) => {
      for (const text of [`${value}`, `"${value}"`]) {
        assert.deepEqual(body(`{"intValue":${text}}`).value, { case: 'intValue', value });
        assert.deepEqual(point(`{"asInt":${text}}`).value, { case: 'asInt', value });
      }
    }),
  );
  fc.assert(
    fc.property(
      fc.oneof(fc.bigInt({ min: 0n, max: UINT64_MAX }), fc.constantFrom(INT64_MAX + 1n, UINT64_MAX)),
      (value) => {
        for (const text of [`${value}`, `"${value}"`]) {
          assert.equal(log(`{"timeUnixNano":${text}}`).timeUnixNano, value);
          const counts = `{"dataPoints":[{"positive":{"bucketCounts":[${text},"0"]}}]}`;
          const { data } = metric(`{"exponentialHistogram":${counts}}`);
          assert.ok(data.case === 'exponentialHistogram');
          assert.deepEqual(data.value.dataPoints[0]!.positive!.bucketCounts, [value, 0n]);
        }
      },
    ),
  );
});

test('integers may be written with a fraction of zeros or an exponent', () => {
  for (const [text, value] of [
    ['1e3', 1000n],
    ['1E+3', 1000n],
    ['5.0', 5n],
    ['-5.000', -5n],
    ['1.5e1', 15n],
    ['1500e-2', 15n],
    ['-0', 0n],
    ['0e5', 0n],
    ['0.0e-5', 0n],
    ['9223372036854775807.0', INT64_MAX],
    ['922337203685477580.7e1', INT64_MAX],
    ['-9.223372036854775808e18', -INT64_MAX - 1n],
    ['0.00000000000000000000001e23', 1n],
  ] as const) {
    assert.equal(body(`{"intValue":${text}}`).value.value, value, text);
    assert.equal(body(`{"intValue":"${text}"}`).value.value, value, `"${text}"`);
  }
  assert.equal(log('{"timeUnixNano":-0}').timeUnixNano, 0n);
});

test('integers that are out of range, fractional or not numbers are malformed', () => {
  const signed = ['9223372036854775808', '-9223372036854775809', '1e19', '1.5', '1e-1', '0.1', '1e400', '15e-2'];
  const notNumbers = [
    '""',
    '" 1"',
    '"1 "',
    '"0x10"',
    '"+1"',
    '"01"',
    '"1_000"',
    '"NaN"',
    '"Infinity"',
    '"1e"',
    'true',
    '{}',
    '[]',
    '01',
    '1.',
    'NaN',
  ];
  for (const text of [...signed, ...signed.map((number) => `"${number}"`), ...notNumbers]) {
    assert.throws(() => body(`{"intValue":${text}}`), BatchMalformedError, text);
  }
  for (const text of ['18446744073709551616', '-1', '"-1"', '1844674407370955161.61e1', ...notNumbers]) {
    assert.equal(refusal('logs', AROUND.logs(`{"timeUnixNano":${text}}`)).field.startsWith(LOG_PATH), true, text);
  }
});

test('32-bit integers are numbers or text, in range', () => {
  for (const text of ['4294967295', '"4294967295"', '4.294967295e9']) {
    const record = log(`{"flags":${text},"droppedAttributesCount":${text}}`);
    assert.deepEqual([record.flags, record.droppedAttributesCount], [4294967295, 4294967295], text);
  }
  for (const scale of [0, 20, -10, 2 ** 31 - 1, -(2 ** 31)]) {
    const { data } = metric(`{"exponentialHistogram":{"dataPoints":[{"scale":${scale}}]}}`);
    assert.ok(data.case === 'exponentialHistogram');
    assert.equal(data.value.dataPoints[0]!.scale, scale);
  }
  for (const text of ['4294967296', '-1', '0.5', '"a"', '18446744073709551615']) {
    assert.throws(() => log(`{"flags":${text}}`), BatchMalformedError, text);
    assert.throws(() => log(`{"droppedAttributesCount":${text}}`), BatchMalformedError, text);
  }
  for (const text of ['2147483648', '-2147483649', '1.5', '4294967297']) {
    assert.throws(
      () => metric(`{"exponentialHistogram":{"dataPoints":[{"scale":${text}}]}}`),
      BatchMalformedError,
      text,
    );
  }
});

test('every name of an enum stands for its number', () => {
  for (const [name, number] of numbersByName(SeverityNumber)) {
    assert.equal(log(`{"severityNumber":"SEVERITY_NUMBER_${name}"}`).severityNumber, number, name);
  }
  for (const [name, number] of numbersByName(Span_SpanKind)) {
    assert.equal(span(`{"kind":"SPAN_KIND_${name}"}`).kind, number, name);
  }
  for (const [name, number] of numbersByName(Status_StatusCode)) {
    assert.equal(span(`{"status":{"code":"STATUS_CODE_${name}"}}`).status!.code, number, name);
  }
  for (const [name, number] of numbersByName(AggregationTemporality)) {
    const { data } = metric(`{"sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_${name}"}}`);
    assert.ok(data.case === 'sum');
    assert.equal(data.value.aggregationTemporality, number, name);
  }
});

test('enums are numbers too, those without a name included, and nothing else', () => {
  for (const number of [0, 9, 99, -1, 2 ** 31 - 1, -(2 ** 31)]) {
    assert.equal(log(`{"severityNumber":${number}}`).severityNumber, number);
    assert.equal(log(`{"severityNumber":"${number}"}`).severityNumber, number);
  }
  for (const text of [
    '2147483648',
    '-2147483649',
    '1.5',
    '"INFO"',
    '"severity_number_info"',
    '""',
    '"SPAN_KIND_SERVER"',
    'true',
    '{}',
  ]) {
    assert.equal(refusal('logs', AROUND.logs(`{"severityNumber":${text}}`)).field, `${LOG_PATH}.severityNumber`, text);
  }
});

test('doubles are what Number makes of their text', () => {
  const double = (text: string) => point(`{"asDouble":${text}}`).value.value as number;
  const digits = fc.nat({ max: 2 ** 31 - 1 });
  const decimal = fc
    .tuple(
      fc.boolean(),
      digits,
      fc.option(fc.stringMatching(/^[0-9]{1,25}$/)),
      fc.option(fc.integer({ min: -340, max: 290 })),
    )
    .map(
      ([isNegative, whole, fraction, exponent]) =>
        `${isNegative ? '-' : ''}${whole}${fraction === null ? '' : `.${fraction}`}${exponent === null ? '' : `e${exponent}`}`,
    );
  const shortest = fc
    .double({ noDefaultInfinity: true, noNaN: true })
    .map((value) => (Object.is(value, -0) ? '-0' : String(value)));
  fc.assert(
    fc.property(fc.oneof(decimal, shortest), (text) => {
      assert.ok(Object.is(double(text), Number(text)), text);
      assert.ok(Object.is(double(`"${text}"`), Number(text)), text);
    }),
    { numRuns: 2000 },
  );
  for (const text of [
    '0',
    '-0',
    '-0.0e5',
    '1e22',
    '1e23',
    '123456789012345e22',
    '999999999999999e-22',
    '5e-324',
    '1e-400',
    '1.7976931348623157e308',
  ]) {
    assert.ok(Object.is(double(text), Number(text)), text);
  }
});

test('doubles that are no numbers have names, and none are out of range', () => {
  const double = (text: string) => point(`{"asDouble":${text}}`).value.value;
  assert.equal(double('"NaN"'), Number.NaN);
  assert.equal(double('"Infinity"'), Number.POSITIVE_INFINITY);
  assert.equal(double('"-Infinity"'), Number.NEGATIVE_INFINITY);
  for (const text of [
    '1e400',
    '-1e400',
    '"1e400"',
    'NaN',
    'Infinity',
    '-Infinity',
    '"inf"',
    '"+Infinity"',
    '"nan"',
    '""',
    '" 1"',
    '"0x1"',
    'true',
    '1.',
  ]) {
    assert.throws(() => double(text), BatchMalformedError, text);
  }
});

test('booleans are true and false, and nothing else', () => {
  assert.deepEqual(body('{"boolValue":true}').value, { case: 'boolValue', value: true });
  assert.deepEqual(body('{"boolValue":false}').value, { case: 'boolValue', value: false });
  for (const text of ['1', '"true"', 'True', 'tru', '{}']) {
    assert.throws(() => body(`{"boolValue":${text}}`), BatchMalformedError, text);
  }
});

test('null is an absent field, and malformed in a list', () => {
  const record = log(
    '{"timeUnixNano":null,"severityNumber":null,"severityText":null,"traceId":null,"attributes":null,"body":null,"flags":null}',
  );
  assert.equal(record.body, undefined);
  assert.equal(body('{"arrayValue":null,"stringValue":null}').value.case, undefined);
  assert.equal(refusal('logs', AROUND.logs('null')).field, LOG_PATH);
  const { field } = refusal('metrics', AROUND.metrics('{"histogram":{"dataPoints":[{"bucketCounts":["1",null]}]}}'));
  assert.ok(field.endsWith('.dataPoints[0].bucketCounts[1]'), field);
});

test('the last of several scalars counts, messages merge, lists are joined', () => {
  const record = log(
    '{"severityText":"a","severityText":"b","flags":1,"flags":0,"attributes":[{"key":"x"}],"attributes":[{"key":"y"}],"flags":null}',
  );
  assert.deepEqual([record.severityText, record.flags], ['b', 0]);
  assert.deepEqual(
    record.attributes.map(({ key }) => key),
    ['x', 'y'],
  );
  const { status } = span('{"status":{"code":2},"status":{"message":"m"}}');
  assert.deepEqual([status!.code, status!.message], [2, 'm']);
});

test('the last member of a oneof counts', () => {
  assert.deepEqual(body('{"stringValue":"a","intValue":"1"}').value, { case: 'intValue', value: 1n });
  assert.deepEqual(body('{"intValue":"1","stringValue":"a","boolValue":null}').value, {
    case: 'stringValue',
    value: 'a',
  });
  assert.deepEqual(point('{"asInt":"1","asDouble":0}').value, { case: 'asDouble', value: 0 });
  assert.equal(metric('{"gauge":{},"sum":{}}').data.case, 'sum');
});

test('default values that are written are present', () => {
  const { data } = metric('{"histogram":{"dataPoints":[{"sum":0,"min":0,"max":-0}]}}');
  assert.ok(data.case === 'histogram');
  const { sum, min, max } = data.value.dataPoints[0]!;
  assert.deepEqual([sum, min, max], [0, 0, -0]);
  assert.deepEqual(point('{"asInt":"0"}').value, { case: 'asInt', value: 0n });
  assert.deepEqual(point('{"asDouble":0}').value, { case: 'asDouble', value: 0 });
  assert.deepEqual(body('{"stringValue":""}').value, { case: 'stringValue', value: '' });
  assert.deepEqual(body('{"boolValue":false}').value, { case: 'boolValue', value: false });
  assert.equal(body('{"bytesValue":""}').value.case, 'bytesValue');
  assert.equal(body('{"arrayValue":{}}').value.case, 'arrayValue');
  assert.equal(body('{"kvlistValue":{}}').value.case, 'kvlistValue');
  assert.equal(body('{}').value.case, undefined);
  assert.notEqual(log('{"body":{}}').body, undefined);
});

test('strings have all escapes, pairs of surrogates included', () => {
  const text = (json: string) => log(`{"severityText":${json}}`).severityText;
  assert.equal(text('"\\"\\\\\\/\\b\\f\\n\\r\\t"'), '"\\/\b\f\n\r\t');
  assert.equal(text('"\\u0000\\u0041\\u00e9\\u20AC\\uFFFF"'), '\u0000A\u00e9\u20ac\uffff');
  assert.equal(text('"\\ud83d\\ude00 \\uD83D\\uDE00 😀"'), '😀 😀 😀');
  fc.assert(
    fc.property(fc.string({ unit: anyCharacter }), (value) => {
      const escaped = [...Array(value.length).keys()].map(
        (at) => `\\u${value.charCodeAt(at).toString(16).padStart(4, '0')}`,
      );
      assert.equal(text(JSON.stringify(value)), value);
      assert.equal(text(`"${escaped.join('')}"`), value);
    }),
  );
});

test('a half of a surrogate pair becomes U+FFFD', () => {
  for (const [json, value] of [
    ['\\ud83d', '\ufffd'],
    ['\\ude00', '\ufffd'],
    ['\\ude00\\ud83d', '\ufffd\ufffd'],
    ['\\ud83d\\ud83d\\ude00', '\ufffd😀'],
    ['\\ud83d\\u0041', '\ufffdA'],
    ['\\ud83dx', '\ufffdx'],
    ['\\u0041\\ude00', 'A\ufffd'],
    ['\\ude00\\ude00', '\ufffd\ufffd'],
    ['\\ud83d\\n', '\ufffd\n'],
  ] as const) {
    assert.equal(log(`{"severityText":"${json}"}`).severityText, value, json);
  }
});

test('control characters must be escaped, and escapes must exist', () => {
  for (const string of ['\u0000', '\n', '\u001f', '\\', '\\a', '\\U0041', '\\u', '\\u004', '\\u004g', '\\u00']) {
    assert.equal(
      refusal('logs', AROUND.logs(`{"severityText":"${string}"}`)).field,
      `${LOG_PATH}.severityText`,
      string,
    );
    assert.equal(refusal('logs', AROUND.logs(`{"severity${string}Text":1}`)).field, LOG_PATH, string);
  }
  assert.equal(log('{"severityText":"\u007f\u0080"}').severityText, '\u007f\u0080');
});

test('bytes of a string that are not UTF-8 stay as they are', () => {
  const invalid = Buffer.from('616280ffc3', 'hex');
  const text = Buffer.concat([Buffer.from(`${LOG_PREFIX}{"severityText":"`), invalid, Buffer.from('"}]}]}]}')]);
  assert.ok(Buffer.from(otlpJsonToProtobuf('logs', text)).includes(invalid));
  const escaped = Buffer.concat([Buffer.from(`${LOG_PREFIX}{"severityText":"\\n`), invalid, Buffer.from('"}]}]}]}')]);
  assert.ok(Buffer.from(otlpJsonToProtobuf('logs', escaped)).includes(invalid));
});

test('messages and lists of the wrong kind are malformed', () => {
  for (const [row, end] of [
    ['{"body":"text"}', 'body'],
    ['{"body":[]}', 'body'],
    ['{"attributes":{}}', 'attributes'],
    ['{"attributes":[[]]}', 'attributes[0]'],
    ['{"attributes":[{},{"value":5}]}', 'attributes[1].value'],
    ['{"body":{"arrayValue":[]}}', 'body.arrayValue'],
    ['{"body":{"kvlistValue":{"values":[{"key":5}]}}}', 'body.kvlistValue.values[0].key'],
    ['{"severityText":5}', 'severityText'],
    ['{"severityText":["a"]}', 'severityText'],
  ] as const) {
    assert.equal(refusal('logs', AROUND.logs(row)).field, `${LOG_PATH}.${end}`, row);
  }
});

test('a long list of large strings outgrows the first buffer', () => {
  const strings = Array.from({ length: 300 }, (_, at) => `${at}\\n`.repeat(1 + (at % 50)));
  const records = logsOf(AROUND.logs(strings.map((value) => `{"severityText":"${value}"}`).join(',')));
  assert.deepEqual(
    records.map(({ severityText }) => severityText),
    strings.map((value) => value.replaceAll('\\n', '\n')),
  );
});

function transcode(signal: Signal, text: string): Uint8Array {
  return otlpJsonToProtobuf(signal, Buffer.from(text));
}

function logsOf(text: string): LogRecord[] {
  return fromBinary(OTLP_REQUEST_SCHEMAS.logs, transcode('logs', text)).resourceLogs[0]!.scopeLogs[0]!.logRecords;
}

function log(row: string): LogRecord {
  return logsOf(AROUND.logs(row))[0]!;
}

function body(value: string): AnyValue {
  return log(`{"body":${value}}`).body!;
}

function span(row: string): Span {
  const request = fromBinary(OTLP_REQUEST_SCHEMAS.traces, transcode('traces', AROUND.traces(row)));
  return request.resourceSpans[0]!.scopeSpans[0]!.spans[0]!;
}

function metric(row: string): Metric {
  const request = fromBinary(OTLP_REQUEST_SCHEMAS.metrics, transcode('metrics', AROUND.metrics(row)));
  return request.resourceMetrics[0]!.scopeMetrics[0]!.metrics[0]!;
}

function point(row: string): NumberDataPoint {
  const { data } = metric(`{"gauge":{"dataPoints":[${row}]}}`);
  assert.ok(data.case === 'gauge');
  return data.value.dataPoints[0]!;
}

/** What the refusal of a text tells; fails when it is taken. */
function refusal(signal: Signal, text: string): { field: string; position: number } {
  try {
    transcode(signal, text);
  } catch (error) {
    assert.ok(error instanceof BatchMalformedError, String(error));
    const { field, position } = error.facts;
    return { field: String(field), position: Number(position) };
  }
  return assert.fail(`it was taken: ${text}`);
}

function numbersByName(values: Readonly<Record<string, string | number>>): [string, number][] {
  const pairs = Object.entries(values).filter((pair): pair is [string, number] => typeof pair[1] === 'number');
  assert.ok(pairs.length > 0);
  return pairs;
}
