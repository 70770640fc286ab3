import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from '../../src/base/index.ts';
import { type Config, configurationMarkdown, parseCommandLine } from '../../src/config.ts';

function configOf(argv: readonly string[], environment: Record<string, string> = {}): Config {
  const line = parseCommandLine(argv, environment);
  assert.ok(line.kind === 'command');
  return line.config;
}

test('command line without anything serves with defaults', () => {
  const line = parseCommandLine([], {});
  assert.ok(line.kind === 'command');
  assert.equal(line.name, 'serve');
  assert.equal(line.config.data, './treasury-data');
  assert.deepEqual(line.config.grpc, { host: '127.0.0.1', port: 4317 });
  assert.deepEqual(line.config.otlpHttp, { host: '127.0.0.1', port: 4318 });
  assert.deepEqual(line.config.http, { host: '127.0.0.1', port: 4319 });
});

test('a flag wins over the environment, which wins over the default', () => {
  const environment = { TREASURY_OTLP_HTTP: '[::1]:1', TREASURY_DATA: '/a', PATH: '/bin' };
  assert.deepEqual(configOf(['serve'], environment).otlpHttp, { host: '::1', port: 1 });
  assert.deepEqual(configOf(['serve', '--otlp-http', '0.0.0.0:0', '--data=/b'], environment).otlpHttp, {
    host: '0.0.0.0',
    port: 0,
  });
  assert.equal(configOf(['--data=/b'], environment).data, '/b');
});

test('origins of web pages are a list, and none unless named', () => {
  assert.deepEqual(configOf([]).otlpCorsOrigins, []);
  assert.deepEqual(configOf([], { TREASURY_OTLP_CORS_ORIGINS: '' }).otlpCorsOrigins, []);
  assert.deepEqual(configOf(['--otlp-cors-origins', '*']).otlpCorsOrigins, ['*']);
  assert.deepEqual(configOf([]).prometheusCorsOrigins, []);
  assert.deepEqual(configOf(['--prometheus-cors-origins', '*']).prometheusCorsOrigins, ['*']);
  const listed = 'https://App.Example.com, https://*.example.com,http://localhost:*,http://[::1]:3000';
  assert.deepEqual(configOf([], { TREASURY_OTLP_CORS_ORIGINS: listed }).otlpCorsOrigins, [
    'https://app.example.com',
    'https://*.example.com',
    'http://localhost:*',
    'http://[::1]:3000',
  ]);
});

test('retention is read with its units, and off or by the disk without', () => {
  const { retentionAgeMs, retentionBytes, tablesRetentionAgeMs } = configOf([]);
  assert.deepEqual([retentionAgeMs, retentionBytes, tablesRetentionAgeMs], [null, null, null]);
  for (const [text, ms] of [
    ['7d', 604_800_000],
    ['12h', 43_200_000],
    ['90m', 5_400_000],
    ['1.5h', 5_400_000],
    ['30s', 30_000],
    ['2w', 1_209_600_000],
    ['none', null],
  ] as const) {
    assert.equal(configOf(['--retention-age', text]).retentionAgeMs, ms);
    assert.equal(configOf(['--tables-retention-age', text]).tablesRetentionAgeMs, ms);
  }
  for (const [text, bytes] of [
    ['50GB', 50e9],
    ['500MB', 500e6],
    ['0.5GiB', 2 ** 29],
    ['1tb', 1e12],
    ['32000KB', 32e6],
    ['auto', null],
  ] as const) {
    assert.equal(configOf([], { TREASURY_RETENTION_BYTES: text }).retentionBytes, bytes);
  }
});

test('metrics look to Prometheus as in otel-lgtm unless something else is named', () => {
  const config = configOf([]);
  assert.equal(config.prometheusTranslation, 'UnderscoreEscapingWithSuffixes');
  assert.equal(config.promoteResourceAttributes.length, 27);
  assert.deepEqual(
    [config.promqlLookbackMs, config.promqlTimeoutMs, config.promqlSamplesMax],
    [300_000, 120_000, 50e6],
  );
  assert.deepEqual(config.enableFeature, []);
  const named = configOf([], {
    TREASURY_PROMOTE_RESOURCE_ATTRIBUTES: 'host.name, service.name',
    TREASURY_ENABLE_FEATURE: 'promql-experimental-functions,type-and-unit-labels',
  });
  assert.deepEqual(named.promoteResourceAttributes, ['host.name', 'service.name']);
  assert.deepEqual(named.enableFeature, ['promql-experimental-functions', 'type-and-unit-labels']);
  assert.deepEqual(configOf(['--promote-resource-attributes', 'none']).promoteResourceAttributes, []);
});

const REFUSED: readonly (readonly [readonly string[], Record<string, string>, RegExp])[] = [
  [['--gprc', 'x'], {}, /Unknown flag --gprc: did you mean --grpc\?/],
  [['--otlphttp', 'x'], {}, /did you mean --otlp-http\?/],
  [['sql', 'SELECT 1', '--grpc', '127.0.0.1:1'], {}, /Unknown flag --grpc of sql/],
  [['serv'], {}, /Unknown command serv: did you mean serve\?/],
  [['serve', 'extra'], {}, /usage is treasury serve/],
  [['sql'], {}, /usage is treasury sql/],
  [['--http', '4319'], {}, /Cannot use --http: it must be HOST:PORT.*value is "4319"/],
  [['--http', '127.0.0.1:70000'], {}, /HOST:PORT/],
  [['log', 'lss'], {}, /Unknown action lss of log: did you mean ls\?/],
  [['log', 'cat', '-1x'], {}, /Unknown flag|OFFSET/],
  [['log', 'cat', 'x'], {}, /Cannot use OFFSET: it must be a whole number/],
  [['log', 'ls', '5'], {}, /goes with cat/],
  [['log', 'verify', '--limit', '5'], {}, /Cannot use --limit: it goes with cat, action is verify/],
  [['log', 'cat', '5', '--offset', '6'], {}, /Cannot use --offset: OFFSET is given already/],
  [['log', 'cat', '--offset', 'x'], {}, /Cannot use --offset: it must be a whole number/],
  [['log', 'cat', '--raw', '--decoded'], {}, /--raw: it does not go with --decoded/],
  [['log', 'cat', '--raw=yes'], {}, /Cannot read the flags/],
  [['log', 'cat'], { TREASURY_RAW: 'yes' }, /Cannot use TREASURY_RAW: it must be one of on, off/],
  [['rebuild', '--projection', 'log'], {}, /must be one of logs, traces, metrics \(did you mean logs\?\)/],
  [['rebuild', 'logs'], {}, /usage is treasury rebuild/],
  [['--data'], {}, /Cannot read the flags/],
  [['--data', ''], {}, /must not be empty/],
  [
    ['--retention-age', '7'],
    {},
    /Cannot use --retention-age: it must be a number and one of s, m, h, d, w.*value is "7"/,
  ],
  [['--retention-age', '0s'], {}, /from 1s to 36525d/],
  [['--retention-age', '-1d'], {}, /Cannot (use|read)/],
  [['--retention-age', '1000000d'], {}, /from 1s to 36525d/],
  [[], { TREASURY_RETENTION_BYTES: '500' }, /Cannot use TREASURY_RETENTION_BYTES: it must be a number and one of KB/],
  [['--retention-bytes', '31MB'], {}, /at least 32MB, value is "31MB"/],
  [['--retention-bytes', 'lots'], {}, /such as 50GB or 500MB/],
  [['--memory-limit', '1GB'], {}, /whole number from 64/],
  [['--log-level', 'inf'], {}, /did you mean info\?/],
  [['--prometheus-translation', 'NoUTF8'], {}, /did you mean NoTranslation|did you mean NoUTF8EscapingWithSuffixes/],
  [['--promql-timeout', '25h'], {}, /from 1s to 1d/],
  [['--enable-feature', 'promql-experimental'], {}, /did you mean promql-experimental-functions\?/],
  [['--promote-resource-attributes', 'a,,b'], {}, /it must be none or names separated by commas/],
  [['--materialize', 'no'], {}, /it must be one of on, off/],
  [[], { TREASURY_MATERIALIZE: '0' }, /Cannot use TREASURY_MATERIALIZE/],
  [[], { TREASURY_HTTP: 'x' }, /Cannot use TREASURY_HTTP/],
  [[], { TREASURY_HTPP: 'x' }, /Unknown environment variable TREASURY_HTPP: did you mean TREASURY_HTTP\?/],
  [['status', '--server', 'localhost:1'], {}, /http:\/\//],
  [['--otlp-cors-origins', 'example.com'], {}, /Cannot use --otlp-cors-origins: it must be none, \* or origins/],
  [['--otlp-cors-origins', 'https://a.com/path'], {}, /must be none, \* or origins/],
  [['--otlp-cors-origins', 'https://a.com/'], {}, /must be none, \* or origins/],
  [['--otlp-cors-origins', 'https://*.*.com'], {}, /must be none, \* or origins/],
  [['--otlp-cors-origins', 'https://a.com,,https://b.com'], {}, /must be none, \* or origins/],
  [['--otlp-cors-origins', '*,https://a.com'], {}, /must be none, \* or origins/],
  [['--otlp-cors-origins', 'https://a.com:port'], {}, /must be none, \* or origins/],
  [[], { TREASURY_OTLP_CORS_ORIGINS: 'null' }, /Cannot use TREASURY_OTLP_CORS_ORIGINS/],
];

for (const [argv, environment, reason] of REFUSED) {
  test(`command line refuses ${JSON.stringify([...argv, environment])}`, () => {
    assert.throws(() => parseCommandLine(argv, environment), { code: 'TREASURY_CONFIG', message: reason });
  });
}

test('switches of log cat are off, on by flag or variable, and OFFSET may stand alone', () => {
  const configOf = (argv: readonly string[], environment = {}) => {
    const line = parseCommandLine(['log', 'cat', ...argv], environment);
    assert.ok(line.kind === 'command');
    const { offset, limit, raw, decoded } = line.config;
    return { offset, limit, raw, decoded };
  };
  assert.deepEqual(configOf([]), { offset: null, limit: null, raw: false, decoded: false });
  assert.deepEqual(configOf(['18446744073709551615', '--raw', '--limit', '2']), {
    offset: 18446744073709551615n,
    limit: 2,
    raw: true,
    decoded: false,
  });
  assert.equal(configOf(['--offset', '7'], { TREASURY_DECODED: 'on' }).decoded, true);
  assert.equal(configOf(['--offset', '7']).offset, 7n);
});

test('help of serve names every option with its variable and default', () => {
  const line = parseCommandLine(['serve', '--help'], {});
  assert.ok(line.kind === 'help');
  for (const flag of ['data', 'grpc', 'otlp-http', 'http', 'memory-limit', 'log-format']) {
    assert.match(line.text, new RegExp(`--${flag} [A-Z:]+[\\s\\S]*TREASURY_${flag.replace('-', '_').toUpperCase()}`));
  }
  assert.match(line.text, /127\.0\.0\.1:4317/);
  assert.equal(parseCommandLine(['-h'], {}).kind, 'help');
  assert.equal(parseCommandLine(['--version'], {}).kind, 'version');
});

test('configuration page has a row for every option', () => {
  const markdown = configurationMarkdown();
  assert.match(markdown, /\| `--otlp-http HOST:PORT` \| `TREASURY_OTLP_HTTP` \| `127\.0\.0\.1:4318` \|/);
  assert.match(markdown, /## `treasury log/);
});

test('nearest finds the name that takes the fewest changes', () => {
  assert.equal(nearest('staus', ['sql', 'status', 'serve']), 'status');
  assert.equal(nearest('GRPC', ['grpc', 'http']), 'grpc');
});
