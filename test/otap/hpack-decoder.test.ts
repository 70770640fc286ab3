import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { BatchMalformedError, LIMITS } from '../../src/base/index.ts';
import { scanBatchEnvelope } from '../../src/otap/batch-envelope.ts';
import { createHpackDecoder, type HpackDecoder } from '../../src/otap/hpack-decoder.ts';
import { captureNames, readArrowStreams } from '../helpers/captures.ts';

test('HpackDecoder decodes the literals of RFC 7541 C.2', () => {
  assert.deepEqual(decodeAll('400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'), [
    [['custom-key', 'custom-header']],
  ]);
  assert.deepEqual(decodeAll('040c 2f73 616d 706c 652f 7061 7468'), [[[':path', '/sample/path']]]);
  assert.deepEqual(decodeAll('1008 7061 7373 776f 7264 0673 6563 7265 74'), [[['password', 'secret']]]);
  assert.deepEqual(decodeAll('82'), [[[':method', 'GET']]]);
});

test('HpackDecoder marks headers that are never to be indexed', () => {
  const [header] = decode(createHpackDecoder(), '1008 7061 7373 776f 7264 0673 6563 7265 74');
  assert.equal(header!.isSensitive, true);
  assert.equal(decode(createHpackDecoder(), '040c 2f73 616d 706c 652f 7061 7468')[0]!.isSensitive, false);
});

const REQUESTS = [
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
    ['cache-control', 'no-cache'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ],
];

test('HpackDecoder decodes the requests of RFC 7541 C.3 and, in Huffman code, C.4', () => {
  assert.deepEqual(
    decodeAll(
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ),
    REQUESTS,
  );
  assert.deepEqual(
    decodeAll(
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ),
    REQUESTS,
  );
});

const COOKIE = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';
const RESPONSES = [
  [
    [':status', '302'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['location', 'https://www.example.com'],
  ],
  [
    [':status', '307'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['location', 'https://www.example.com'],
  ],
  [
    [':status', '200'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
    ['location', 'https://www.example.com'],
    ['content-encoding', 'gzip'],
    ['set-cookie', COOKIE],
  ],
];

test('HpackDecoder decodes the responses of RFC 7541 C.5 and C.6, which evict from a table of 256 bytes', () => {
  const limits = { tableBytesMax: 256, headersBytesMax: 4096 };
  const plain = createHpackDecoder(limits);
  assert.deepEqual(
    [
      '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ].map((block) => pairs(plain, block)),
    RESPONSES,
  );
  const huffman = createHpackDecoder(limits);
  assert.deepEqual(
    [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ].map((block) => pairs(huffman, block)),
    RESPONSES,
  );
});

test('HpackDecoder decodes what nghttp2 encodes, every byte that a header may hold', async () => {
  const texts = Array.from({ length: 256 }, (_, byte) => byte)
    .filter((byte) => (byte >= 0x21 && byte <= 0x7e) || byte >= 0x80)
    // Enough short codes around a rare byte that the encoder prefers Huffman.
    .map((byte) => `ttttttttaaaaaaaaeeeeeeeeoooooooo${String.fromCharCode(byte)}00000000111111112222222222`);
  const headers = Object.fromEntries(texts.map((text, i) => [`x-${i}`, text]));
  const block = await encodedByNghttp2(headers);
  const decoder = createHpackDecoder({ tableBytesMax: 4096, headersBytesMax: 1024 * 1024 });
  const decoded = Object.fromEntries(decoder.decode(block, 0, block.length).map(({ name, value }) => [name, value]));
  for (const [name, value] of Object.entries(headers)) assert.equal(decoded[name], value, name);
  assert.equal(decoded[':path'], '/');
});

test('HpackDecoder decodes the headers of captured batches in order', () => {
  let batches = 0;
  for (const name of captureNames({ shared: false })) {
    for (const { messages } of readArrowStreams(name)) {
      const decoder = createHpackDecoder();
      for (const message of messages) {
        const [field] = scanBatchEnvelope(message).headers;
        const headers = new Map(
          decoder.decode(message, field!.start, field!.end).map(({ name: key, value }) => [key, value]),
        );
        assert.deepEqual([...headers.keys()].sort(), ['grpc-timeout', 'otlp-pdata-size']);
        assert.match(headers.get('grpc-timeout')!, /^\d+m$/);
        assert.ok(Number(headers.get('otlp-pdata-size')) > 0);
        batches++;
      }
    }
  }
  assert.ok(batches >= 50, `${batches} batches`);
});

test('HpackDecoder follows table size updates at the beginning of a block only', () => {
  const decoder = createHpackDecoder();
  assert.deepEqual(pairs(decoder, '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'), [
    ['custom-key', 'custom-header'],
  ]);
  assert.deepEqual(pairs(decoder, 'be'), [['custom-key', 'custom-header']]);
  assert.deepEqual(pairs(decoder, '20 3f e1 1f 82'), [[':method', 'GET']]);
  assert.throws(() => pairs(decoder, 'be'), /index 62 is in no table/);
  assert.throws(() => decodeAll('82 20'), /a table size update follows a header/);
  assert.throws(() => decodeAll('3f e2 1f'), /a table of 4097 bytes is above 4096/);
});

test('HpackDecoder drops an entry larger than its table together with all others', () => {
  const decoder = createHpackDecoder({ tableBytesMax: 64, headersBytesMax: 4096 });
  pairs(decoder, '4001 61 01 62');
  assert.deepEqual(pairs(decoder, 'be'), [['a', 'b']]);
  pairs(decoder, `4001 61 28 ${'62'.repeat(40)}`);
  assert.throws(() => pairs(decoder, 'be'), /index 62 is in no table/);
});

test('HpackDecoder refuses malformed blocks', () => {
  const cases: [string, RegExp][] = [
    ['80', /index 0 is in no table/],
    ['be', /index 62 is in no table/],
    ['ff ff ff ff ff 7f', /an integer is too large/],
    ['ff 80 80 80 80 80 80 00', /an integer is too large/],
    ['ff 80', /the block is truncated/],
    ['40', /the block is truncated/],
    ['40 05 61', /a string is truncated/],
    ['40 7f e1 ff 03 61', /a string is truncated/],
    // Eight bits of padding; a zero bit in the padding; the end-of-string symbol.
    ['00 82 1f ff 00', /a Huffman code is malformed/],
    ['00 81 1e 00', /a Huffman code is malformed/],
    ['00 84 ff ff ff ff 00', /a Huffman code is malformed/],
  ];
  for (const [block, reason] of cases) {
    assert.throws(
      () => decodeAll(block),
      (error: unknown) => error instanceof BatchMalformedError && reason.test(error.message),
      block,
    );
  }
});

test('HpackDecoder bounds what a small block expands to', () => {
  const decoder = createHpackDecoder();
  // A value of 2128 bytes, then one byte for each time it is repeated.
  pairs(decoder, `4001 61 7f d1 0f ${'78'.repeat(2128)}`);
  const bomb = Buffer.alloc(10_000, 0xbe);
  assert.throws(
    () => decoder.decode(bomb, 0, bomb.length),
    new RegExp(`headers are above ${LIMITS.batchHeadersBytesMax} bytes`),
  );
});

test('HpackDecoder survives random blocks', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 4 }), (blocks) => {
      const decoder = createHpackDecoder();
      try {
        for (const block of blocks) decoder.decode(block, 0, block.length);
      } catch (error) {
        assert.ok(error instanceof BatchMalformedError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

function decode(decoder: HpackDecoder, hex: string): ReturnType<HpackDecoder['decode']> {
  const block = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  return decoder.decode(block, 0, block.length);
}

function pairs(decoder: HpackDecoder, hex: string): string[][] {
  return decode(decoder, hex).map(({ name, value }) => [name, value]);
}

/** Several blocks of one sender. */
function decodeAll(...blocks: string[]): string[][][] {
  const decoder = createHpackDecoder();
  return blocks.map((block) => pairs(decoder, block));
}

/** The header block of an HTTP/2 request as Node's client puts it on the wire. */
async function encodedByNghttp2(headers: Record<string, string>): Promise<Buffer> {
  const received: Buffer[] = [];
  const server = createServer();
  const block = new Promise<Buffer>((resolve, reject) => {
    server.on('connection', (socket) => {
      socket.on('error', reject);
      socket.on('data', (bytes: Buffer) => {
        received.push(bytes);
        const found = headerBlock(Buffer.concat(received));
        if (found === null) return;
        socket.destroy();
        resolve(found);
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on('error', () => {});
  const request = client.request({ ':path': '/', ...headers });
  request.on('error', () => {});
  try {
    return await block;
  } finally {
    client.destroy();
    server.close();
  }
}

const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;

/** The fragments of the first HEADERS frame and its CONTINUATIONs, or null when they are not complete. */
function headerBlock(bytes: Buffer): Buffer | null {
  const fragments: Buffer[] = [];
  for (let at = PREFACE_BYTES; at + FRAME_HEADER_BYTES <= bytes.length; ) {
    const end = at + FRAME_HEADER_BYTES + bytes.readUIntBE(at, 3);
    if (end > bytes.length) return null;
    const type = bytes[at + 3]!;
    const flags = bytes[at + 4]!;
    if (type === 1 || type === 9) {
      const hasPriority = type === 1 && (flags & 0x20) !== 0;
      assert.equal(flags & 0x08, 0, 'no padding');
      fragments.push(bytes.subarray(at + FRAME_HEADER_BYTES + (hasPriority ? 5 : 0), end));
      if ((flags & 0x04) !== 0) return Buffer.concat(fragments);
    }
    at = end;
  }
  return null;
}
