/**
 * Goal: the API of cursors and exporters answers as documented, refuses what makes no sense by name, and shows no secret.
 * Method: the real HTTP server over a real log, cursors and files; a worker that does what the test says.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createExporterManager } from '../../../src/api/push/manager.ts';
import { LIMITS, silentLogger } from '../../../src/base/index.ts';
import { type Cursors, openCursors, openLog } from '../../../src/log/index.ts';
import { scratchDirectory } from '../../helpers/server-process.ts';
import { appendTexts } from '../../log/retention-helpers.ts';
import { scriptedWorkers, type ScriptedWorkers } from '../push/scripted-worker.ts';
import { startHttpHarness } from './harness.ts';

const TARGET = { protocol: 'otlp-grpc', endpoint: 'http://127.0.0.1:4317' };
const SECURE = { ...TARGET, endpoint: 'https://127.0.0.1:4317' };
const FOLDER = { protocol: 'parquet', endpoint: '/x' };
const SECRET_VALUE = 'Bearer hidden-token';

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>> & { readonly error?: Readonly<Record<string, unknown>> };
}

interface Api {
  readonly cursors: Cursors;
  readonly workers: ScriptedWorkers;
  ask(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  text(path: string): Promise<string>;
}

/** A server over a log with offsets 0 to 8. */
async function startApi(t: TestContext): Promise<Api> {
  const data = scratchDirectory(t);
  const log = await openLog({ directory: join(data, 'log') });
  await appendTexts(log, 9);
  const workers = scriptedWorkers();
  const cursors = await openCursors({ directory: join(data, 'cursors'), log });
  const offsetAtTime = (unixNano: bigint, by: 'receipt' | 'event') =>
    Promise.resolve((unixNano % 10n) + (by === 'event' ? 2n : 0n));
  const exporters = await createExporterManager({
    directory: join(data, 'exporters'),
    cursors,
    log,
    startWorker: workers.start,
    offsetAtTime,
    logger: silentLogger,
  });
  const { base, listener } = await startHttpHarness({ log, cursors, exporters, offsetAtTime });
  t.after(async () => {
    await listener.stop();
    await exporters.stop();
    await cursors.close();
    await log.close();
  });
  return {
    cursors,
    workers,
    async ask(method, path, body, headers = {}) {
      const content = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) };
      const response = await fetch(`${base}/treasury/v1/${path}`, { method, headers, ...content });
      const text = await response.text();
      return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Answer['body'] };
    },
    text: async (path) => (await fetch(base + path)).text(),
  };
}

test('a cursor is created, moved, paused, forked and deleted', async (t) => {
  const { ask } = await startApi(t);
  const created = await ask('POST', 'cursors', { name: 'a', from: 2, policy: 'hold' });
  assert.equal(created.status, 201);
  const { createdAt, updatedAt, ...facts } = created.body;
  assert.match(`${String(createdAt)} ${String(updatedAt)}`, /^\S+Z \S+Z$/);
  assert.deepEqual(facts, {
    name: 'a',
    offset: 2,
    policy: 'hold',
    paused: false,
    pending: false,
    failing: null,
    lag: 7,
    exporter: false,
  });
  const changed = await ask('PATCH', 'cursors/a', { offset: '5', paused: true, policy: 'drop' });
  assert.deepEqual([changed.body['offset'], changed.body['paused'], changed.body['policy']], [5, true, 'drop']);
  const timed = await ask('PATCH', 'cursors/a', { time: '1970-01-01T00:00:00.000000003Z' });
  assert.equal(timed.body['offset'], 3);
  const ofEvent = await ask('PATCH', 'cursors/a', { eventTime: '1970-01-01T00:00:00.000000003Z' });
  assert.equal(ofEvent.body['offset'], 5);
  await ask('PATCH', 'cursors/a', { offset: 3 });
  const fork = await ask('POST', 'cursors/a/fork', { name: 'b' });
  assert.deepEqual([fork.status, fork.body['offset'], fork.body['policy']], [201, 3, 'drop']);
  const list = await ask('GET', 'cursors');
  assert.deepEqual(
    (list.body['cursors'] as { name: string }[]).map(({ name }) => name),
    ['a', 'b'],
  );
  assert.equal((await ask('DELETE', 'cursors/a')).status, 204);
  assert.equal((await ask('GET', 'cursors/a')).status, 404);
});

test('an exporter is created, replaced, paused, rewound, forked and deleted', async (t) => {
  const { ask, workers } = await startApi(t);
  const created = await ask('POST', 'exporters', { name: 'a', ...TARGET, from: 'start' });
  assert.deepEqual([created.status, created.body['state'], created.body['ackedOffset']], [201, 'idle', 0]);
  workers.last.tell({ name: 'a', ackedOffset: 6n, sentItems: 40, lostEntries: 2n });
  const shown = await ask('GET', 'exporters/a');
  assert.deepEqual(
    [shown.body['state'], shown.body['lag'], shown.body['sentItems'], shown.body['lostEntries']],
    ['running', { entries: 3, seconds: null }, 40, 2],
  );
  assert.equal((await ask('PUT', 'exporters/a', { ...TARGET, compression: 'gzip' })).status, 200);
  assert.equal((await ask('PUT', 'exporters/b', TARGET)).status, 201);
  assert.equal((await ask('POST', 'exporters/a/pause')).body['state'], 'paused');
  assert.equal((await ask('POST', 'exporters/a/rewind', { offset: 1 })).body['ackedOffset'], 1);
  assert.equal(
    (await ask('POST', 'exporters/a/rewind', { time: '1970-01-01T00:00:00.000000004Z' })).body['ackedOffset'],
    4,
  );
  const eventTime = '1970-01-01T00:00:00.000000004Z';
  assert.equal((await ask('POST', 'exporters/a/rewind', { eventTime })).body['ackedOffset'], 6);
  assert.equal((await ask('POST', 'exporters', { name: 'e', ...TARGET, from: `event:${eventTime}` })).status, 201);
  assert.equal((await ask('GET', 'exporters/e')).body['ackedOffset'], 6);
  assert.equal((await ask('DELETE', 'exporters/e')).status, 204);
  assert.equal((await ask('POST', 'exporters/a/rewind', { to: 'end' })).body['ackedOffset'], 9);
  assert.equal((await ask('POST', 'exporters/a/resume')).body['state'], 'idle');
  const fork = await ask('POST', 'exporters/a/fork', { name: 'c', endpoint: 'http://other:1' });
  assert.deepEqual([fork.status, fork.body['endpoint'], fork.body['compression']], [201, 'http://other:1', 'gzip']);
  assert.equal((await ask('DELETE', 'exporters/a')).status, 204);
  const { body } = await ask('GET', 'exporters');
  assert.deepEqual(
    (body['exporters'] as { name: string }[]).map(({ name }) => name),
    ['b', 'c'],
  );
});

test('figures and states of exporters are in metrics, status and health', async (t) => {
  const { ask, workers, text } = await startApi(t);
  await ask('POST', 'exporters', { name: 'a', ...TARGET, from: 'start' });
  workers.last.tell({ name: 'a', state: 'failed', ackedOffset: 6n, sentItems: 40, error: 'refused' });
  const metrics = await text('/metrics');
  for (const line of [
    'treasury_exporters 1',
    'treasury_exporter_acked_offset{exporter="a"} 6',
    'treasury_exporter_lag_entries{exporter="a"} 3',
    'treasury_exporter_sent_items_total{exporter="a"} 40',
    'treasury_exporter_state{exporter="a",state="failed"} 1',
    'treasury_exporter_state{exporter="a",state="running"} 0',
  ]) {
    assert.ok(metrics.includes(`${line}\n`), line);
  }
  const { body } = await ask('GET', 'status');
  const [exporter] = (body['exporters'] as { exporters: { name: string; error: string }[] }).exporters;
  assert.deepEqual([exporter?.name, exporter?.error], ['a', 'refused']);
  const health = JSON.parse(await text('/healthz')) as { parts: Record<string, unknown> };
  assert.deepEqual(
    health.parts['exporters'],
    { ok: true, reason: 'Failed: a' },
    'a target that fails is not our illness',
  );
});

test('header values are in no answer', async (t) => {
  const { ask, text, workers } = await startApi(t);
  const answers = [
    await ask('POST', 'exporters', { name: 'a', ...TARGET, headers: { authorization: SECRET_VALUE } }),
    await ask('PUT', 'exporters/a', { ...TARGET, headers: { authorization: `${SECRET_VALUE}\n` } }),
    await ask('PUT', 'exporters/a', { ...TARGET, headers: { authorization: [SECRET_VALUE] } }),
    await ask('PUT', 'exporters/a', `{"headers":{"authorization":"${SECRET_VALUE}"}`),
    await ask('POST', 'exporters/a/fork', { name: 'b' }),
    await ask('PUT', 'exporters/a', { ...TARGET, headers: { authorization: '***' } }),
    await ask('GET', 'exporters'),
    await ask('GET', 'status'),
  ];
  assert.deepEqual(
    answers.map(({ status }) => status),
    [201, 400, 400, 400, 201, 200, 200, 200],
  );
  const all = JSON.stringify(answers) + (await text('/metrics'));
  assert.ok(!all.includes('hidden-token'), all);
  const start = workers.last.commands.findLast((command) => command.type === 'start');
  assert.deepEqual(start?.type === 'start' && start.config.headers, { authorization: SECRET_VALUE });
});

const REFUSED: readonly (readonly [string, string, unknown, number, string, RegExp])[] = [
  ['GET', 'cursors/x', undefined, 404, 'TREASURY_CURSOR_UNKNOWN', /Cannot find cursor x/],
  ['DELETE', 'cursors/x', undefined, 404, 'TREASURY_CURSOR_UNKNOWN', /Cannot find cursor x/],
  ['POST', 'cursors', { name: 'plain' }, 409, 'TREASURY_CURSOR_EXISTS', /it exists/],
  ['POST', 'cursors', { name: 'No' }, 400, 'TREASURY_CURSOR_NAME', /Cannot use the name "No"/],
  ['POST', 'cursors', {}, 400, 'TREASURY_BAD_REQUEST', /Cannot read name/],
  ['POST', 'cursors', { name: 'b', form: 1 }, 400, 'TREASURY_BAD_REQUEST', /no field form, did you mean from/],
  ['POST', 'cursors', { name: 'b', from: 'soon' }, 400, 'TREASURY_BAD_REQUEST', /Cannot read from: .*"soon"/],
  ['POST', 'cursors', { name: 'b', from: 10 }, 416, 'TREASURY_OFFSET_OUT_OF_RANGE', /0 to 9/],
  ['POST', 'cursors', { name: 'b', policy: 'keep' }, 400, 'TREASURY_BAD_REQUEST', /drop or hold/],
  ['POST', 'cursors', 'nonsense', 400, 'TREASURY_BAD_REQUEST', /it is no JSON/],
  ['POST', 'cursors', [], 400, 'TREASURY_BAD_REQUEST', /must be an object/],
  ['PATCH', 'cursors/plain', {}, 400, 'TREASURY_BAD_REQUEST', /must be given/],
  ['PATCH', 'cursors/plain', { offset: -1 }, 400, 'TREASURY_BAD_REQUEST', /whole number/],
  ['PATCH', 'cursors/plain', { offset: 1, time: 'x' }, 400, 'TREASURY_BAD_REQUEST', /given already/],
  ['PATCH', 'cursors/plain', { time: 'noon' }, 400, 'TREASURY_BAD_REQUEST', /RFC 3339/],
  ['PATCH', 'cursors/plain', { offset: 11 }, 416, 'TREASURY_OFFSET_OUT_OF_RANGE', /0 to 9/],
  ['PATCH', 'cursors/plain', { paused: 'yes' }, 400, 'TREASURY_BAD_REQUEST', /true or false/],
  ['PATCH', 'cursors/out', { offset: 1 }, 409, 'TREASURY_CURSOR_OF_EXPORTER', /belongs to the exporter/],
  ['DELETE', 'cursors/out', undefined, 409, 'TREASURY_CURSOR_OF_EXPORTER', /belongs to the exporter/],
  ['POST', 'cursors/x/fork', { name: 'b' }, 404, 'TREASURY_CURSOR_UNKNOWN', /Cannot find cursor x/],
  ['PUT', 'cursors/plain', {}, 405, 'TREASURY_METHOD_NOT_ALLOWED', /allowed is/],
  ['GET', 'exporters/x', undefined, 404, 'TREASURY_EXPORTER_UNKNOWN', /Cannot find exporter x/],
  ['DELETE', 'exporters/x', undefined, 404, 'TREASURY_EXPORTER_UNKNOWN', /Cannot find exporter x/],
  ['POST', 'exporters/x/pause', undefined, 404, 'TREASURY_EXPORTER_UNKNOWN', /Cannot find exporter x/],
  ['POST', 'exporters', { name: 'out', ...TARGET }, 409, 'TREASURY_CURSOR_EXISTS', /it exists/],
  ['POST', 'exporters', { name: 'plain', ...TARGET }, 409, 'TREASURY_CURSOR_EXISTS', /a cursor has that name/],
  ['PUT', 'exporters/No', TARGET, 400, 'TREASURY_CURSOR_NAME', /Cannot use the name "No"/],
  ['PUT', 'exporters/b', {}, 400, 'TREASURY_EXPORTER_INVALID', /protocol of exporter b/],
  ['PUT', 'exporters/b', { ...TARGET, name: 'c' }, 400, 'TREASURY_EXPORTER_INVALID', /it must be b/],
  ['PUT', 'exporters/b', { ...TARGET, protocol: 'otlp' }, 400, 'TREASURY_EXPORTER_INVALID', /did you mean ot/],
  ['PUT', 'exporters/b', { ...TARGET, endpoint: 'host:1' }, 400, 'TREASURY_EXPORTER_INVALID', /https?:\/\//],
  ['PUT', 'exporters/b', { ...TARGET, endpoint: 'http://u:p@h:1' }, 400, 'TREASURY_EXPORTER_INVALID', /in a header/],
  ['PUT', 'exporters/b', { ...TARGET, endpoint: 'http://h:1/x' }, 400, 'TREASURY_EXPORTER_INVALID', /no path/],
  ['PUT', 'exporters/b', { protocol: 'parquet', endpoint: 'x' }, 400, 'TREASURY_EXPORTER_INVALID', /absolute path/],
  ['PUT', 'exporters/b', { ...TARGET, inFlight: 0 }, 400, 'TREASURY_EXPORTER_INVALID', /inFlight .* must be 1 to 16/],
  ['PUT', 'exporters/b', { ...TARGET, tls: {} }, 400, 'TREASURY_EXPORTER_INVALID', /must be an https/],
  ['PUT', 'exporters/b', { ...SECURE, tls: { ca: '/x' } }, 400, 'TREASURY_EXPORTER_INVALID', /did you mean caFile/],
  ['PUT', 'exporters/b', { ...SECURE, tls: { caFile: 'x' } }, 400, 'TREASURY_EXPORTER_INVALID', /absolute path/],
  ['PUT', 'exporters/b', { ...SECURE, tls: { keyFile: '/x' } }, 400, 'TREASURY_EXPORTER_INVALID', /given together/],
  ['PUT', 'exporters/b', { ...SECURE, tls: { serverName: '::1' } }, 400, 'TREASURY_EXPORTER_INVALID', /name of a host/],
  ['PUT', 'exporters/b', { ...SECURE, tls: { skipVerify: 'yes' } }, 400, 'TREASURY_EXPORTER_INVALID', /true or false/],
  ['PUT', 'exporters/b', { ...FOLDER, inFlight: 2 }, 400, 'TREASURY_EXPORTER_INVALID', /a folder takes none/],
  ['PUT', 'exporters/b', { ...TARGET, retention: 'keep' }, 400, 'TREASURY_EXPORTER_INVALID', /drop, hold/],
  ['PUT', 'exporters/b', { ...TARGET, filter: { signal: 'logs' } }, 400, 'TREASURY_EXPORTER_INVALID', /filter\.signal/],
  ['PUT', 'exporters/b', { ...TARGET, filter: { signals: ['log'] } }, 400, 'TREASURY_EXPORTER_INVALID', /mean logs/],
  [
    'PUT',
    'exporters/b',
    { ...TARGET, headers: { 'grpc-timeout': '1' } },
    400,
    'TREASURY_EXPORTER_INVALID',
    /protocol sets/,
  ],
  [
    'PUT',
    'exporters/b',
    { ...TARGET, headers: { 'a b': '1' } },
    400,
    'TREASURY_EXPORTER_INVALID',
    /no name of a header/,
  ],
  ['PUT', 'exporters/b', { ...TARGET, from: 'soon' }, 400, 'TREASURY_EXPORTER_INVALID', /RFC 3339/],
  ['PUT', 'exporters/b', { ...TARGET, from: 10 }, 416, 'TREASURY_OFFSET_OUT_OF_RANGE', /0 to 9/],
  ['PUT', 'exporters/out', { ...TARGET, from: 1 }, 400, 'TREASURY_EXPORTER_INVALID', /goes on where it is/],
  ['PUT', 'exporters/b', ' '.repeat(LIMITS.exporterConfigBytesMax + 1), 413, 'TREASURY_BODY_TOO_LARGE', /more than/],
  ['POST', 'exporters/out/rewind', {}, 400, 'TREASURY_BAD_REQUEST', /one of offset, time, eventTime and to/],
  ['POST', 'exporters/out/rewind', { offset: 1, to: 'end' }, 400, 'TREASURY_BAD_REQUEST', /one of/],
  ['POST', 'exporters/out/rewind', { time: 1, eventTime: 1 }, 400, 'TREASURY_BAD_REQUEST', /one of/],
  ['POST', 'exporters/out/rewind', { eventTime: 'now' }, 400, 'TREASURY_BAD_REQUEST', /eventTime: it must be a time/],
  ['POST', 'exporters/out/rewind', { to: 'now' }, 400, 'TREASURY_BAD_REQUEST', /start or end/],
  ['POST', 'exporters/out/rewind', { offset: 11 }, 416, 'TREASURY_OFFSET_OUT_OF_RANGE', /0 to 9/],
  ['POST', 'exporters/out/fork', { name: 'plain' }, 409, 'TREASURY_CURSOR_EXISTS', /a cursor has that name/],
];

test('what makes no sense is refused with its reason, and changes nothing', async (t) => {
  const { ask, cursors } = await startApi(t);
  await ask('POST', 'cursors', { name: 'plain', from: 2 });
  await ask('POST', 'exporters', { name: 'out', ...TARGET, from: 3 });
  const before = cursors.list().map(({ name, offset, paused, policy }) => ({ name, offset, paused, policy }));
  for (const [method, path, body, status, code, reason] of REFUSED) {
    await t.test(`${method} ${path} ${JSON.stringify(body)?.slice(0, 60)}`, async () => {
      const answer = await ask(method, path, body);
      assert.equal(answer.body.error?.['code'], code, JSON.stringify(answer));
      assert.equal(answer.status, status);
      assert.match(String(answer.body.error['message']), reason);
    });
  }
  const after = cursors.list().map(({ name, offset, paused, policy }) => ({ name, offset, paused, policy }));
  assert.deepEqual(after, before);
});

test('a body of another type is refused', async (t) => {
  const { ask } = await startApi(t);
  const { status, body } = await ask('POST', 'cursors', { name: 'a' }, { 'content-type': 'application/xml' });
  assert.deepEqual([status, body.error?.['supported']], [415, 'application/json']);
});

test('pages of other sites cannot change anything', async (t) => {
  const { ask } = await startApi(t);
  await ask('POST', 'exporters', { name: 'a', ...TARGET });
  for (const [method, path, body] of [
    ['POST', 'exporters/a/pause', undefined],
    ['DELETE', 'exporters/a', undefined],
    ['POST', 'exporters/a/rewind', { offset: 0 }],
    ['POST', 'cursors', { name: 'b' }],
  ] as const) {
    const { status, body: answer } = await ask(method, path, body, { origin: 'http://elsewhere.example' });
    assert.deepEqual([status, answer.error?.['code']], [403, 'TREASURY_FORBIDDEN']);
  }
  assert.equal((await ask('GET', 'exporters/a', undefined, { origin: 'http://elsewhere.example' })).status, 200);
});
