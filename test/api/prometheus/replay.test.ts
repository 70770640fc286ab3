/**
 * Goal: every request that Grafana sends to a Prometheus datasource gets data, in the form that its converter reads.
 * Method: the requests as they were recorded, over GET and POST and with the headers that come along, against a store that has what they ask for; decoders that
 * take nothing unknown.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type GrafanaRequest, grafanaMetrics, QUERIES, RESOURCES, T } from './grafana-requests.ts';
import { type Answer, answerOf, type PrometheusServer, startPrometheusServer } from './prometheus-server.ts';
import { assertFailure, assertSuccess } from './strict-answers.ts';

let server: PrometheusServer;
const closing: (() => Promise<void>)[] = [];

before(async () => {
  server = await startPrometheusServer({ after: (close) => closing.push(close) });
  await server.store.send(grafanaMetrics(), {
    resource: { 'service.name': 'cart', 'service.instance.id': 'cart-1', 'os.type': 'linux' },
  });
});

after(async () => {
  for (const close of closing) await close();
});

/** What Grafana passes on of a browser and of itself. */
const HEADERS: Readonly<Record<string, string>> = {
  'User-Agent': 'Grafana/13.1.0 (linux; amd64) prometheus/13.1.7',
  Accept: 'application/json, text/plain, */*',
  'Accept-Encoding': 'gzip, deflate, br, zstd',
  'Accept-Language': 'en-US,en;q=0.9',
  'Sec-Fetch-Mode': 'cors',
  'X-Grafana-Org-Id': '1',
  'X-Grafana-Referer': '',
  'X-Datasource-Uid': 'treasury',
  'X-Query-Group-Id': 'a',
  'X-Dashboard-Uid': 'b',
  'X-Panel-Id': '2',
  'X-Rule-Uid': 'c',
  FromAlert: 'true',
};

async function ask(method: 'GET' | 'POST', { path, parameters }: Omit<GrafanaRequest, 'data'>): Promise<Answer> {
  const form = new URLSearchParams(parameters.map(([name, value]): [string, string] => [name, value]));
  // Parameters that users add to all requests stand in the URL, whatever the method.
  const query = new URLSearchParams(method === 'GET' ? form : '');
  query.set('tenant', 'a;b');
  return answerOf(
    await fetch(`${server.base}${path}?${query.toString()}`, {
      method,
      headers: HEADERS,
      ...(method === 'POST' ? { body: form } : {}),
    }),
  );
}

for (const request of [...QUERIES, ...RESOURCES]) {
  const { path, parameters, methods = ['GET', 'POST'], data, isEmpty = false } = request;
  test(`${path} ${parameters.map((pair) => pair.join('=')).join(' ')} is answered as Grafana reads it`, async () => {
    const answers: unknown[] = [];
    for (const method of methods) {
      const answer = await ask(method, request);
      assertSuccess(answer, data);
      assert.equal(answer.headers.get('content-encoding'), 'gzip');
      assert.match(answer.text, isEmpty ? /"(data|result)":\[\]/ : /"(data|result|groups|alerts)":/);
      if (!isEmpty && !['/rules', '/alerts'].includes(path))
        assert.doesNotMatch(answer.text, /"(data|result)":(\[\]|\{\})/);
      answers.push(withoutStats(answer));
    }
    if (answers.length > 1) assert.deepEqual(answers[0], answers[1]);
  });
}

function withoutStats({ body }: Answer): unknown {
  return JSON.parse(JSON.stringify(body, (key: string, value: unknown) => (key === 'timings' ? undefined : value)));
}

test('all of them at once are answered, ten times over', async () => {
  const all = Array.from({ length: 10 }, () => [...QUERIES, ...RESOURCES]).flat();
  const answers = await Promise.all(all.map((request) => ask(request.methods?.[0] ?? 'POST', request)));
  for (const [at, answer] of answers.entries()) assertSuccess(answer, all[at]!.data);
});

test('a bad selector is 400 in the envelope when it is asked by POST, and again when by GET', async () => {
  for (const selector of ['{__name__=~".*"}', '{', 'a{b=~"("}']) {
    for (const method of ['POST', 'GET'] as const) {
      const parameters = [['match[]', selector] as const];
      for (const path of ['/labels', '/series', '/label/job/values'])
        assertFailure(await ask(method, { path, parameters }), 'bad_data');
    }
  }
});

test('what fails is in the envelope at a status whose JSON is read', async () => {
  const failing: readonly (readonly [query: string, type: string, timeout?: string])[] = [
    ['sum(', 'bad_data'],
    ['queue_size + on () {job="cart"}', 'execution'],
    ['label_replace(queue_size, "a b", "", "", "(")', 'execution'],
    ['queue_size', 'timeout', '0s'],
  ];
  for (const [query, type, timeout = '55s'] of failing) {
    for (const method of ['POST', 'GET'] as const) {
      const parameters = [['query', query] as const, ['time', `${T}`] as const, ['timeout', timeout] as const];
      assertFailure(await ask(method, { path: '/query', parameters }), type);
    }
  }
});

test('times are whole seconds, fractions, exponents or RFC 3339', async () => {
  const results = new Set<string>();
  for (const time of [`${T}`, `${T}.000`, '1.79534712e9', '2026-11-22T11:32:00Z', '2026-11-22T12:32:00.000+01:00']) {
    const { body } = await ask('GET', {
      path: '/query',
      parameters: [
        ['query', 'queue_size'],
        ['time', time],
      ],
    });
    results.add(JSON.stringify(body));
  }
  assert.equal(results.size, 1, [...results].join('\n'));
  assert.match([...results][0]!, new RegExp(`\\[${T},"-0.5"\\]`));
});

test('an instant a little in the future sees the newest samples, as alert rules ask', async () => {
  const at = async (time: number): Promise<string> =>
    (
      await ask('POST', {
        path: '/query',
        parameters: [
          ['query', 'queue_size'],
          ['time', `${time}`],
        ],
      })
    ).text;
  assert.match(await at(T + 299), new RegExp(`\\[${T + 299},"-0.5"\\]`));
  assert.match(await at(T + 300), /"result":\[\]/);
});

test('limits of results and how far back is looked can be asked for', async () => {
  const cut = await ask('GET', {
    path: '/query',
    parameters: [
      ['query', '{job="cart"}'],
      ['time', `${T}`],
      ['limit', '1'],
    ],
  });
  assert.deepEqual(cut.body.warnings, ['results truncated due to limit']);
  const parameters = [
    ['query', 'queue_size'],
    ['time', `${T + 30}`],
    ['lookback_delta', '20s'],
  ] as const;
  assert.match((await ask('POST', { path: '/query', parameters })).text, /"result":\[\]/);
});
