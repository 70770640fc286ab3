import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../../../src/base/index.ts';
import { linesOf, query, samplesOf } from '../../../helpers/promql-samples.ts';

const nodes = samplesOf(
  { labels: { __name__: 'node', name: 'node10', job: 'a', instance: '1' }, samples: [1] },
  { labels: { __name__: 'node', name: 'node2', job: 'a', instance: '2' }, samples: [-2.5] },
  { labels: { __name__: 'target_info', job: 'a', instance: '1', env: 'prod' }, samples: [1] },
);

async function lines(text: string, startMs = 0) {
  return linesOf(await query(text, nodes, { startMs }));
}

test('labels are replaced by what whole values match', async () => {
  const dropped = 'sum by (kind, number) (label_replace(';
  assert.deepEqual(
    await lines(
      `${dropped}label_replace(node, "kind", "$word$$", "name", "(?P<word>[a-z]+)\\\\d+"), "number", "\${1}x", "name", "[a-z]+(\\\\d+)"))`,
    ),
    ['{kind="node$",number="10x"} 1', '{kind="node$",number="2x"} -2.5'],
  );
  assert.deepEqual(await lines('sum by (kind) (label_replace(node, "kind", "x", "name", "node"))'), ['{} -1.5']);
  await assert.rejects(lines('label_replace(node, "kind", "", "name", "(")'), {
    message: 'invalid regular expression in label_replace(): (',
  });
});

test('labels join with a separator, and a name may be one of them', async () => {
  assert.deepEqual(await lines('label_join(node{instance="1"}, "__name__", "/", "job", "name")'), [
    'a/node10{instance="1",job="a",name="node10"} 1',
  ]);
});

test('labels grow no longer than is good for their thread', async () => {
  let doubled = 'node';
  for (let round = 0; round < 40; round++) doubled = `label_replace(${doubled}, "name", "$1$1", "name", "(.*)")`;
  const long = JSON.stringify('x'.repeat(LIMITS.promqlLabelLengthMax));
  const refused = [
    doubled,
    `label_replace(node, "name", "\${1}${long.slice(1)}, "name", "(.*)")`,
    `label_join(node, "kind", ${long}, "name", "job")`,
  ];
  for (const text of refused) {
    await assert.rejects(lines(text), {
      code: 'TREASURY_QUERY_LIMIT',
      message: /^Cannot make label "\w+": its value is longer than 65536 characters$/,
    });
  }
  assert.equal((await lines(`label_replace(node, "kind", ${long}, "name", "node2")`)).length, 2);
});

test('numbers in labels sort as numbers', async () => {
  const names = (await lines('sort_by_label(node, "name")')).map((line) => /name="(\w+)"/.exec(line)![1]);
  assert.deepEqual(names, ['node2', 'node10']);
});

test('series without the label that they are sorted by come first, and last in descending order', async () => {
  const sorted = samplesOf(
    ...['b', '', 'a', 'c'].map((zone, at) => ({ labels: { __name__: 'z', at: String(at), zone }, samples: [at] })),
  );
  const values = async (text: string): Promise<string[]> =>
    linesOf(await query(text, sorted, { startMs: 0 })).map((line) => line.split(' ').at(-1)!);
  assert.deepEqual(await values('sort_by_label(z, "zone")'), ['1', '2', '0', '3']);
  assert.deepEqual(await values('sort_by_label_desc(z, "zone")'), ['3', '0', '2', '1']);
});

test('info brings the labels of info series', async () => {
  assert.deepEqual(await lines('info(node)'), [
    'node{env="prod",instance="1",job="a",name="node10"} 1',
    'node{instance="2",job="a",name="node2"} -2.5',
  ]);
  assert.deepEqual(await lines('info(node, {env="prod"})'), ['node{env="prod",instance="1",job="a",name="node10"} 1']);
});

test('absent gives the labels that were asked for', async () => {
  assert.deepEqual(await lines('absent(node{job="z",name=~"x.*",env="e"})'), ['{env="e",job="z"} 1']);
  assert.deepEqual(await lines('absent(node)'), []);
});

test("clamps, rounds and scalars go by Go's rules for NaN and ties", async () => {
  assert.deepEqual(await lines('clamp(vector(NaN), 0, 1)'), ['{} NaN']);
  assert.deepEqual(await lines('clamp(node, 1, 0)'), []);
  assert.deepEqual(await lines('round(node)'), [
    '{instance="1",job="a",name="node10"} 1',
    '{instance="2",job="a",name="node2"} -2',
  ]);
  assert.deepEqual(await lines('scalar(node) + 1'), ['NaN']);
  assert.deepEqual(await lines('1 ^ NaN'), ['1']);
});

test('parts of dates are those of the calendar in UTC', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: -60_000_000_000, max: 250_000_000_000 }), async (seconds) => {
      const date = new Date(seconds * 1000);
      const startOfYear =
        Date.UTC(2000, 0, 1) + new Date(0).setUTCFullYear(date.getUTCFullYear(), 0, 1) - Date.UTC(2000, 0, 1);
      const inMonth = new Date(
        new Date(0).setUTCFullYear(date.getUTCFullYear(), date.getUTCMonth() + 1, 0),
      ).getUTCDate();
      const expected: Record<string, number> = {
        year: date.getUTCFullYear(),
        month: date.getUTCMonth() + 1,
        day_of_month: date.getUTCDate(),
        day_of_week: date.getUTCDay(),
        day_of_year: Math.floor((date.getTime() - startOfYear) / 86_400_000) + 1,
        days_in_month: inMonth,
        hour: date.getUTCHours(),
        minute: date.getUTCMinutes(),
      };
      for (const [name, value] of Object.entries(expected))
        assert.deepEqual(await lines(`${name}(vector(${seconds}))`), [`{} ${value}`], name);
    }),
    { numRuns: 60 },
  );
});

test('classic quantiles are interpolated, and repaired where counts fall', async () => {
  const bucket = (le: string, count: number) => ({ labels: { __name__: 'l_bucket', le }, samples: [count] });
  const orderly = samplesOf(bucket('1', 10), bucket('2', 30), bucket('+Inf', 40));
  assert.deepEqual(linesOf(await query('histogram_quantile(0.5, l_bucket)', orderly)), ['{} 1.5']);
  assert.deepEqual(linesOf(await query('histogram_fraction(0, 1.5, l_bucket)', orderly)), ['{} 0.5']);
  const fallen = await query(
    'histogram_quantile(0.5, l_bucket)',
    samplesOf(bucket('1', 10), bucket('2', 4), bucket('+Inf', 20)),
  );
  assert.deepEqual(linesOf(fallen), ['{} 1']);
  assert.match(
    fallen.infos[0]!,
    /needed to be fixed for monotonicity .*from buckets 2 to 2, with a max diff of 6, over 1 samples from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z \(1:25\)$/,
  );
  const nameless = await query('histogram_quantile(0.5, node)', nodes);
  assert.match(nameless.warnings[0]!, /bucket label "le" is missing or has a malformed value of "" \(1:25\)$/);
});
