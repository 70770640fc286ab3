/** Files of test/fixtures/hostile for the OTLP ports: bodies of requests, in protobuf and JSON. */
import { deflateSync, gzipSync } from 'node:zlib';
import { zstdBomb } from './hostile-corpus-otap.ts';
import { lengthField, varintField } from './otlp-wire-messages.ts';

/** By name. */
export function hostileOtlp(): Record<string, Buffer> {
  return { ...wire(), ...content(), ...compressed(), ...json() };
}

const MIB = 1024 * 1024;
const TEXT = Buffer.from('hostile');
const GROUP_START = 3;
const GROUP_END = 4;

function wire(): Record<string, Buffer> {
  const good = request(logRecord());
  return {
    'otlp-truncated': good.subarray(0, -3),
    'otlp-field-0': Buffer.concat([good, Buffer.from([0x02, 0x00])]),
    'otlp-wire-type-7': Buffer.concat([good, Buffer.from([(1 << 3) | 7, 0])]),
    'otlp-group-without-end': Buffer.concat([good, Buffer.from([(9 << 3) | GROUP_START, 0x08, 0x01])]),
    'otlp-group-end-alone': Buffer.concat([good, Buffer.from([(9 << 3) | GROUP_END])]),
    'otlp-groups-5000-deep': Buffer.concat([good, Buffer.alloc(5_000, (9 << 3) | GROUP_START)]),
    'otlp-length-2-gib': Buffer.concat([good, Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x07])]),
    'otlp-length-2-power-63': Buffer.concat([good, Buffer.from([0x0a, ...Array<number>(9).fill(0x80), 0x01])]),
    'otlp-varint-11-bytes': request(
      Buffer.concat([logRecord(), Buffer.from([0x10, ...Array<number>(10).fill(0xff), 0x01])]),
    ),
    'otlp-fixed64-cut-off': request(Buffer.concat([logRecord(), Buffer.from([0x09, 1, 2, 3])])),
    'otlp-records-as-fixed32': Buffer.concat([good, Buffer.from([(1 << 3) | 5, 1, 2, 3, 4])]),
  };
}

function content(): Record<string, Buffer> {
  return {
    'otlp-values-1000-deep': request(logRecord(deepValue(1000))),
    'otlp-text-not-utf8': request(logRecord(lengthField(1, Buffer.from([0x68, 0xff, 0xfe, 0xc0, 0x80])))),
    'otlp-trace-id-of-5-bytes': request(Buffer.concat([logRecord(), lengthField(9, Buffer.alloc(5, 1))])),
  };
}

function compressed(): Record<string, Buffer> {
  const good = request(logRecord());
  return {
    'otlp-gzip-truncated': gzipSync(good).subarray(0, -6),
    'otlp-gzip-and-garbage': Buffer.concat([gzipSync(good), Buffer.from('garbage')]),
    'otlp-gzip-wrong-checksum': wrongChecksum(gzipSync(good)),
    'otlp-gzip-bomb-6-million-records': gzipSync(gzipBomb(), { level: 9 }),
    'otlp-deflate-dictionary': deflateSync(good, { dictionary: TEXT }),
    'otlp-zstd-bomb-128-mib': zstdBomb(1024),
    'otlp-zstd-garbage': Buffer.from('(\xb5/\xfd and nothing of it', 'latin1'),
  };
}

/** Records with nothing in them, two bytes each, more than any batch may have rows. */
function gzipBomb(): Buffer {
  const records = Buffer.alloc(12 * MIB);
  for (let at = 0; at < records.length; at += 2) records[at] = 0x12;
  return lengthField(1, lengthField(2, records));
}

function wrongChecksum(gzip: Buffer): Buffer {
  const copy = Buffer.from(gzip);
  copy[copy.length - 6]! ^= 0xff;
  return copy;
}

function json(): Record<string, Buffer> {
  const bodyOf = (body: string, more = ''): Buffer =>
    Buffer.from(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":${body}${more}}]}]}]}`);
  const good = '{"stringValue":"hostile"}';
  return {
    'json-truncated': bodyOf(good).subarray(0, -4),
    'json-and-garbage': Buffer.concat([bodyOf(good), Buffer.from('{}')]),
    'json-utf-16': Buffer.from(`\ufeff${bodyOf(good).toString()}`, 'utf16le'),
    'json-nul-bytes': Buffer.alloc(100),
    'json-control-character': bodyOf('{"stringValue":"a\nb"}'),
    'json-escape-unknown': bodyOf('{"stringValue":"\\x41"}'),
    'json-comment': bodyOf(`/* */ ${good}`),
    'json-arrays-for-everything': Buffer.from('[[[]]]'),
    'json-text-for-records': Buffer.from('{"resourceLogs":"hostile"}'),
    'json-null-records': Buffer.from('{"resourceLogs":[null]}'),
    'json-values-5000-deep': gzipSync(bodyOf('{"arrayValue":{"values":['.repeat(5000) + good + ']}}'.repeat(5000))),
    'json-unknown-field-100000-deep': gzipSync(bodyOf(good, `,"x":${'['.repeat(100_000)}${']'.repeat(100_000)}`)),
    'json-time-1e400': bodyOf(good, ',"timeUnixNano":1e400'),
    'json-time-past-64-bits': bodyOf(good, ',"timeUnixNano":"18446744073709551616"'),
    'json-time-negative': bodyOf(good, ',"timeUnixNano":"-1"'),
    'json-int-with-fraction': bodyOf('{"intValue":1.5}'),
    'json-bytes-not-base64': bodyOf('{"bytesValue":"*not base64*"}'),
    'json-trace-id-not-hex': bodyOf(good, ',"traceId":"zz","spanId":"zz"'),
    'json-body-of-two-kinds': bodyOf('{"stringValue":7}'),
    'json-text-not-utf8': Buffer.concat([
      Buffer.from('{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"'),
      Buffer.from([0x68, 0xff, 0xfe]),
      Buffer.from('"}}]}]}]}'),
    ]),
    'json-lone-surrogate': bodyOf('{"stringValue":"h\\ud800"}'),
    'json-proto-field': bodyOf(good, ',"__proto__":{"body":null},"constructor":1'),
  };
}

/** An AnyValue in an AnyValue and so on. */
function deepValue(depth: number): Buffer {
  let value = lengthField(1, TEXT);
  for (let level = 0; level < depth; level++) value = lengthField(5, lengthField(1, value));
  return value;
}

function logRecord(body = lengthField(1, TEXT)): Buffer {
  return Buffer.concat([varintField(2, 9n), lengthField(5, body)]);
}

function request(record: Buffer): Buffer {
  return lengthField(1, lengthField(2, lengthField(2, record)));
}
