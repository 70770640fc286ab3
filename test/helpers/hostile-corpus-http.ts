/** Files of test/fixtures/hostile that are all that a connection says: HTTP/2 to the gRPC port, HTTP/1.1 to the OTLP/HTTP port. */

/** By name. */
export function hostileHttp(): Record<string, Buffer> {
  return { ...http2(), ...http1() };
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const FRAMES = { DATA: 0, HEADERS: 1, SETTINGS: 4, CONTINUATION: 9 } as const;
const END_HEADERS = 4;

function http2(): Record<string, Buffer> {
  const settings = frame(FRAMES.SETTINGS, 0, 0, []);
  const opened = (...frames: Buffer[]): Buffer => Buffer.concat([PREFACE, settings, ...frames]);
  return {
    'http2-tls-hello': Buffer.from([
      0x16,
      0x03,
      0x01,
      0x02,
      0x00,
      0x01,
      0x00,
      0x01,
      0xfc,
      0x03,
      0x03,
      ...Buffer.alloc(40, 7),
    ]),
    'http2-garbage': Buffer.alloc(100, 0xff),
    'http2-hpack-garbage': opened(frame(FRAMES.HEADERS, END_HEADERS, 1, Buffer.alloc(64, 0xff))),
    'http2-hpack-index-out-of-range': opened(frame(FRAMES.HEADERS, END_HEADERS, 1, [0xfe])),
    'http2-hpack-table-size-4-gib': opened(frame(FRAMES.HEADERS, END_HEADERS, 1, [0x3f, 0xe0, 0xff, 0xff, 0xff, 0x0f])),
    'http2-frame-of-16-mib': opened(Buffer.from([0xff, 0xff, 0xff, FRAMES.DATA, 0, 0, 0, 0, 1, ...Buffer.alloc(100)])),
    'http2-data-on-stream-0': opened(frame(FRAMES.DATA, 0, 0, [1, 2, 3])),
    'http2-data-on-idle-stream': opened(frame(FRAMES.DATA, 0, 77, [1, 2, 3])),
    'http2-continuation-alone': opened(frame(FRAMES.CONTINUATION, END_HEADERS, 1, [0x82])),
    'http2-settings-of-5-bytes': opened(frame(FRAMES.SETTINGS, 0, 0, [0, 4, 0xff, 0xff, 0xff])),
    'http2-window-2-power-31': opened(frame(FRAMES.SETTINGS, 0, 0, [0, 4, 0x80, 0, 0, 0])),
  };
}

function http1(): Record<string, Buffer> {
  const post = (headers: string, body = ''): Buffer =>
    Buffer.from(
      `POST /v1/logs HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-protobuf\r\n${headers}\r\n${body}`,
      'latin1',
    );
  return {
    'http-garbage': Buffer.alloc(100, 0xfe),
    'http-length-not-a-number': post('Content-Length: ten\r\n', 'x'.repeat(10)),
    'http-length-negative': post('Content-Length: -1\r\n'),
    'http-length-2-power-70': post('Content-Length: 1180591620717411303424\r\n'),
    'http-lengths-that-differ': post('Content-Length: 5\r\nContent-Length: 6\r\n', 'xxxxxx'),
    'http-length-and-chunks': post(
      'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n',
      '0\r\n\r\nGET / HTTP/1.1\r\n\r\n',
    ),
    'http-chunk-size-garbage': post('Transfer-Encoding: chunked\r\n', 'zz\r\nhostile\r\n'),
    'http-chunk-size-2-power-68': post('Transfer-Encoding: chunked\r\n', 'fffffffffffffffff\r\nhostile\r\n'),
    'http-header-with-nul': post('X-Bad: a\0b\r\n'),
    'http-header-of-20-kib': post(`X-Long: ${'x'.repeat(20 * 1024)}\r\n`),
  };
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array | readonly number[]): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, Buffer.from(payload)]);
}
