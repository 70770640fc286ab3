import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { readExporter } from '../../src/api/push/exporter-config.ts';
import { parseCommandLine } from '../../src/config.ts';
import { exportTarget, namedExport, redactedExport } from '../../src/export-url.ts';

test('schemes choose protocol, security and port', () => {
  const targets = [
    'otap://host',
    'otap+https://host:1',
    'otlp://host:4444/',
    'otlps://[::1]',
    'otlp+http://host',
    'otlp+https://host/otlp/',
    'parquet:some/folder',
    'parquet:/with%20space',
  ].map((url) => exportTarget(url));
  assert.deepEqual(
    targets.map(({ protocol, endpoint }) => [protocol, endpoint]),
    [
      ['otap', 'http://host:4317'],
      ['otap', 'https://host:1'],
      ['otlp-grpc', 'http://host:4444'],
      ['otlp-grpc', 'https://[::1]:4317'],
      ['otlp-http', 'http://host:4318'],
      ['otlp-http', 'https://host:443/otlp'],
      ['parquet', resolve('some/folder')],
      ['parquet', '/with space'],
    ],
  );
  for (const { protocol, endpoint } of targets) readExporter('a', { protocol, endpoint });
});

test('parameters are the fields of the configuration', () => {
  const url =
    'a=otlp://h:1?compression=gzip&from=start&retention=hold&signal=logs,traces&signal=logs&resource.service.name=a%26b' +
    '&attribute.http.route=/x=y&header.authorization=Bearer%20t&inFlight=4';
  const { name, ...target } = namedExport(url);
  assert.equal(name, 'a');
  assert.deepEqual(target, {
    protocol: 'otlp-grpc',
    endpoint: 'http://h:1',
    compression: 'gzip',
    from: 'start',
    retention: 'hold',
    inFlight: 4,
    filter: {
      signals: ['logs', 'traces'],
      resource: { 'service.name': 'a&b' },
      attributes: { 'http.route': '/x=y' },
    },
    headers: { authorization: 'Bearer t' },
  });
  const { config, from } = readExporter(name, target);
  assert.deepEqual([config.filter, from], [target.filter, 'start']);
});

test('parameters of TLS name files as absolute paths', () => {
  const { name, ...target } = namedExport(
    'a=otlps://h:1?tls.caFile=ca.pem&tls.certFile=/c.pem&tls.keyFile=/k.pem&tls.serverName=backup.example&tls.skipVerify=true',
  );
  const tls = {
    caFile: resolve('ca.pem'),
    certFile: '/c.pem',
    keyFile: '/k.pem',
    serverName: 'backup.example',
    skipVerify: true,
  };
  assert.deepEqual(target.tls, tls);
  assert.deepEqual(readExporter(name, target).config.tls, tls);
});

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['otlp://h:1', /NAME=URL/],
  ['A=otlp://h:1', /NAME=URL/],
  ['a=otlpx://h:1', /did you mean otlp\?/],
  ['a=h:1', /must begin with otap:\/\//],
  ['a=otlp://', /must name a host/],
  ['a=otlp://h:1/path', /no path/],
  ['a=otlp://u:hidden@h:1', /in a header/],
  ['a=parquet:', /must name a folder/],
  ['a=otlp://h:1?sgnal=logs', /no parameter sgnal: did you mean signal/],
  ['a=otlp://h:1?signal=log', /did you mean logs/],
  ['a=otlp://h:1?compression=lz4', /zstd, gzip, none/],
  ['a=otlp://h:1?retention=keep', /drop, hold/],
  ['a=otlp://h:1?header.k=hidden&x=%zz', /% in it/],
  ['a=otlp://h:1?header=hidden', /no parameter header/],
];

for (const [text, reason] of REFUSED) {
  test(`--export refuses ${text}`, () => {
    assert.throws(
      () => parseCommandLine(['--export', text], {}),
      (error: Error) => reason.test(error.message) && !error.message.includes('hidden'),
    );
  });
}

test('--export may be repeated, and its variable holds several', () => {
  const exportsOf = (argv: readonly string[], environment = {}) => {
    const line = parseCommandLine(argv, environment);
    assert.ok(line.kind === 'command');
    return line.config.exports.map(({ name }) => name);
  };
  assert.deepEqual(exportsOf([]), []);
  assert.deepEqual(exportsOf(['--export', 'a=otlp://h:1', '--export=b=parquet:/x y']), ['a', 'b']);
  const environment = { TREASURY_EXPORT: ' a=otlp://h:1\n c=otap://h:2 ' };
  assert.deepEqual(exportsOf([], environment), ['a', 'c']);
  assert.deepEqual(exportsOf(['--export', 'b=otlp://h:1'], environment), ['b']);
  assert.throws(() => exportsOf(['--export', 'a=otlp://h:1', '--export', 'a=otlp://h:2']), /a is given twice/);
});

test('what may be secret is not shown', () => {
  const shown = redactedExport('a=otlp://u:p@h:1?header.k=secret&signal=logs&Header.x=more&header=odd');
  assert.equal(shown, 'a=otlp://***@h:1?header.k=***&signal=logs&Header.x=***&header=***');
});

const PUSH_REFUSED: readonly (readonly [readonly string[], RegExp])[] = [
  [['list'], /Unknown action list of push: did you mean ls\?/],
  [['pause'], /usage is treasury push pause NAME/],
  [['ls', 'a'], /usage is treasury push ls$/],
  [['create', 'a'], /usage is treasury push create NAME URL/],
  [['create', 'a', 'otlp://h:1?header.k=hidden&x=1'], /Cannot use URL: .*no parameter x/],
  [[], /usage is treasury push ls\|create/],
];

for (const [rest, reason] of PUSH_REFUSED) {
  test(`push refuses ${JSON.stringify(rest)}`, () => {
    assert.throws(
      () => parseCommandLine(['push', ...rest], {}),
      (error: Error) => reason.test(error.message) && !error.message.includes('hidden'),
    );
  });
}
