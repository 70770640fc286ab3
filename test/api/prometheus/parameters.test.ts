/** Goal: what cannot be read is refused in Prometheus' words; expected texts are those of a Prometheus 3.15 that was asked the same. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createPrometheusQueries } from '../../../src/api/index.ts';
import { labelOfPath } from '../../../src/api/prometheus/label-name.ts';
import { Form } from '../../../src/api/prometheus/form.ts';
import { readDuration, TIME_MAX_MS, TIME_MIN_MS, timeParameter } from '../../../src/api/prometheus/parameters.ts';
import { LIMITS, silentLogger, TreasuryError } from '../../../src/base/index.ts';
import { PROMETHEUS_SETTINGS, startHttpHarness } from '../http/harness.ts';
import { EMPTY, REFUSED } from './empty-store-requests.ts';
import { get, post } from './prometheus-server.ts';

let base = '';
const closing: (() => Promise<void>)[] = [];

before(async () => {
  const queries = createPrometheusQueries({
    engine: { sql: async () => ({ chunks: (async function* none() {})() }) },
    settings: PROMETHEUS_SETTINGS,
    logger: silentLogger,
  });
  const harness = await startHttpHarness({ prometheus: queries });
  base = `${harness.base}/api/v1`;
  closing.push(
    () => harness.listener.stop(),
    () => queries.stop(),
  );
});

after(async () => {
  for (const close of closing) await close();
});

for (const [path, error] of Object.entries(REFUSED)) {
  test(`${path} is refused as Prometheus refuses it`, async () => {
    const { status, body, headers } = await get(base, path);
    assert.deepEqual({ status, body }, { status: 400, body: { status: 'error', errorType: 'bad_data', error } });
    assert.equal(headers.get('content-type'), 'application/json');
  });
}

for (const [path, data] of Object.entries(EMPTY)) {
  test(`${path} of an empty store answers with what there is`, async () => {
    const { status, body } = await get(base, path);
    assert.deepEqual({ status, body }, { status: 200, body: { status: 'success', data } });
  });
}

test('the status shows the settings that are true', async () => {
  const flags = (await get(base, '/status/flags')).body.data as Record<string, string>;
  assert.equal(flags['query.lookback-delta'], '5m');
  assert.equal(flags['query.max-samples'], '1000000');
  assert.equal(flags['enable-feature'], '');
  const { yaml } = (await get(base, '/status/config')).body.data as { yaml: string };
  assert.match(yaml, /translation_strategy: UnderscoreEscapingWithSuffixes/);
  const runtime = (await get(base, '/status/runtimeinfo')).body.data as { startTime: string };
  assert.ok(Date.parse(runtime.startTime) > 0);
});

test('paths and methods that are not there are refused as by Prometheus', async () => {
  for (const path of ['/nope', '/', '/label//values', '/query/', '/constructor']) {
    const { status, text } = await get(base, path);
    assert.deepEqual({ path, status, text }, { path, status: 404, text: '404 page not found\n' });
  }
  const broken = await get(base, '/label/%zz/values');
  assert.deepEqual([broken.status, broken.text], [400, '400 Bad Request\n']);
  const put = await fetch(`${base}/query`, { method: 'PUT' });
  assert.equal(put.status, 405);
  assert.equal(put.headers.get('allow'), 'GET, HEAD, OPTIONS, POST');
  assert.equal(await put.text(), 'Method Not Allowed\n');
  assert.equal((await post(base, '/metadata', {})).status, 405);
  assert.equal((await fetch(`${base}/query`, { method: 'OPTIONS' })).status, 204);
  const head = await fetch(`${base}/query?query=1`, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
});

test('pages of other sites read answers when their origin is let in, and no others do', async (t) => {
  const queries = createPrometheusQueries({
    engine: { sql: async () => ({ chunks: (async function* none() {})() }) },
    settings: PROMETHEUS_SETTINGS,
    corsOrigins: ['https://*.example.com'],
    logger: silentLogger,
  });
  const harness = await startHttpHarness({ prometheus: queries });
  t.after(() => queries.stop());
  t.after(() => harness.listener.stop());
  const allowed = async (at: string, origin: string, method: string) => {
    const { headers } = await fetch(at, { method, headers: { Origin: origin } });
    assert.match(headers.get('vary')!, /Origin/);
    return headers.get('access-control-allow-origin');
  };
  const own = `${harness.base}/api/v1/query?query=1`;
  for (const method of ['GET', 'POST', 'OPTIONS', 'PUT']) {
    assert.equal(await allowed(own, 'https://a.example.com', method), 'https://a.example.com');
    assert.equal(await allowed(own, 'https://example.org', method), null);
    assert.equal(await allowed(`${base}/query?query=1`, 'https://a.example.com', method), null);
  }
  const preflight = await fetch(own, { method: 'OPTIONS', headers: { Origin: 'https://a.example.com' } });
  assert.equal(preflight.headers.get('access-control-allow-methods'), 'GET, POST, OPTIONS');
  assert.equal(preflight.headers.get('access-control-allow-headers'), 'Accept, Authorization, Content-Type, Origin');
});

test('a form that is too large is refused', async () => {
  const query = 'x'.repeat(LIMITS.prometheusFormBytesMax + 1);
  const { status, body } = await post(base, '/query', { query });
  assert.deepEqual([status, body.error], [400, 'error parsing form values: http: request body too large']);
});

test('large forms share their room, and small ones need none', async (t) => {
  const queries = createPrometheusQueries({
    engine: { sql: async () => ({ chunks: (async function* none() {})() }) },
    settings: PROMETHEUS_SETTINGS,
    logger: silentLogger,
  });
  const harness = await startHttpHarness({ prometheus: queries });
  t.after(() => queries.stop());
  t.after(() => harness.listener.stop());
  const ask = (comment: string) => post(`${harness.base}/api/v1`, '/query', { query: `1 # ${comment}` });
  const large = 'x'.repeat(LIMITS.prometheusSmallFormBytesMax + 1);
  assert.equal((await ask(large)).status, 200);
  assert.equal(queries.forms.inFlightBytes, 0);
  queries.forms.admit(LIMITS.prometheusFormsBytesMax);
  assert.equal((await ask('small')).status, 200);
  const { status, body } = await ask(large);
  assert.deepEqual(
    [status, body.errorType, body.error],
    [503, 'unavailable', 'Cannot read the form: other large ones are being read'],
  );
});

test('expressions that would hold up their thread are refused', async () => {
  const lengths = {
    '/query': LIMITS.prometheusQueryLengthMax,
    '/query_exemplars': LIMITS.prometheusQueryLengthMax,
    '/parse_query': LIMITS.prometheusQueryLengthMax,
    '/format_query': LIMITS.prometheusLaidOutLengthMax,
  };
  for (const [path, length] of Object.entries(lengths)) {
    assert.equal((await post(base, path, { query: '1'.padEnd(length) })).status, 200);
    const { status, body } = await post(base, path, { query: '1'.padEnd(length + 1) });
    assert.deepEqual([status, body.error], [400, `invalid parameter "query": it is longer than ${length} characters`]);
  }
});

test('a form of too many parameters is not read', async () => {
  const query = `query=1${'&a'.repeat(LIMITS.prometheusParametersMax)}`;
  assert.equal((await get(base, `/query?${query.slice(0, -2)}`)).status, 200);
  const { status, body } = await get(base, `/series?match[]=up&${query}`);
  assert.deepEqual(
    [status, body.error],
    [400, 'error parsing form values: number of URL query parameters exceeded limit'],
  );
});

test('results are cut at the limit with a warning', async () => {
  const query = 'label_replace(vector(1), "a", "1", "", "") or vector(2)';
  const { body } = await get(base, '/query', { query, limit: '1' });
  assert.equal((body.data as { result: unknown[] }).result.length, 1);
  assert.deepEqual(body.warnings, ['results truncated due to limit']);
});

test('statistics come for any word, with a warning for unknown ones', async () => {
  const { body } = await get(base, '/query', { query: '1', stats: 'yes' });
  assert.ok('stats' in (body.data as object));
  assert.deepEqual(body.warnings, [
    'value "yes" for parameter "stats" is deprecated and will be rejected in the next major release, use "true" or "all"',
  ]);
});

test('an evaluation that fails is 422, and too many samples are', async () => {
  const duplicate =
    'label_replace(vector(1), "a", "x", "", "") + on() (vector(1) or label_replace(vector(2), "b", "1", "", ""))';
  const failed = await get(base, '/query', { query: duplicate });
  assert.deepEqual([failed.status, failed.body.errorType], [422, 'execution']);
  const many = await get(base, '/query_range', {
    query: Array.from({ length: 100 }, (_, at) => `label_replace(vector(1), "a", "${at}", "", "")`).join(' or '),
    start: '0',
    end: '11000',
    step: '1',
  });
  assert.deepEqual(many.body, {
    status: 'error',
    errorType: 'execution',
    error: 'query processing would load too many samples into memory in query execution',
  });
});

test('a store that is not there for now is 503, one that fails 500 without its details', async (t) => {
  const failures = {
    unavailable: new TreasuryError('TREASURY_ENGINE_UNAVAILABLE', 'The engine is not running', { retryable: true }),
    internal: new TreasuryError('TREASURY_STORE', 'secret'),
  };
  for (const [errorType, failure] of Object.entries(failures)) {
    const queries = createPrometheusQueries({
      engine: { sql: () => Promise.reject(failure) },
      settings: PROMETHEUS_SETTINGS,
      logger: silentLogger,
    });
    const harness = await startHttpHarness({ prometheus: queries });
    t.after(() => queries.stop());
    t.after(() => harness.listener.stop());
    const { status, body } = await get(`${harness.base}/api/v1`, '/query', { query: 'up' });
    assert.deepEqual([status, body.errorType], [errorType === 'internal' ? 500 : 503, errorType]);
    assert.doesNotMatch(body.error!, /secret/);
  }
});

test('times are seconds or RFC 3339, as far out as they go', () => {
  const at = (text: string): number =>
    timeParameter(new Form('', new URLSearchParams({ time: text }).toString()), 'time', 7);
  assert.equal(at(''), 7);
  assert.equal(at('1795347120.789'), 1_795_347_120_789);
  assert.equal(at('-1.5'), -1500);
  assert.equal(at('1e3'), 1_000_000);
  assert.equal(at('2026-11-22T10:32:00.123456Z'), Date.UTC(2026, 10, 22, 10, 32, 0, 123));
  assert.equal(at('2026-11-22T10:32:00+01:30'), Date.UTC(2026, 10, 22, 9, 2));
  assert.equal(at('0001-01-01T00:00:00Z'), -62_135_596_800_000);
  assert.equal(at('-292273086-05-16T16:47:06Z'), TIME_MIN_MS);
  assert.equal(at('292277025-08-18T07:12:54.999999999Z'), TIME_MAX_MS);
  assert.equal(at('1795347120000'), 1_795_347_120_000_000);
  for (const wrong of [
    'NaN',
    'x',
    '2026-02-30T00:00:00Z',
    '2026-11-22',
    '2026-11-22T24:00:00Z',
    '1 ',
    '1__0',
    '_1',
    '0x10',
    '1e_',
  ])
    assert.throws(() => at(wrong), /to a valid timestamp/);
});

test('durations are seconds or units', () => {
  assert.deepEqual(readDuration('0.5'), { nanoseconds: 5e8 });
  assert.deepEqual(readDuration('1h30m'), { nanoseconds: 5400e9 });
  assert.deepEqual(readDuration('-3'), { nanoseconds: -3e9 });
  assert.ok('error' in readDuration('1m1h'));
});

test('escaped names of labels are read, and what is no escape stays', () => {
  const names = {
    job: 'job',
    U__service_2e_name: 'service.name',
    U__a__b: 'a_b',
    U___1F600_: '\u{1F600}',
    U__bad_zz_: 'U__bad_zz_',
    U__open_2e: 'U__open_2e',
    U___d800_: 'U___d800_',
  };
  for (const [text, name] of Object.entries(names)) assert.equal(labelOfPath(text), name);
  assert.throws(() => labelOfPath('U__'), /invalid label name: ""/);
});
