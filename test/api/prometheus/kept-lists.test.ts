import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JsonOutput } from '../../../src/api/prometheus/json-output.ts';
import { KeptLists } from '../../../src/api/prometheus/kept-lists.ts';
import { LabelValues } from '../../../src/api/query/prometheus/label-values.ts';

async function written(lists: KeptLists, items: readonly string[]): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  const output = new JsonOutput(
    async (chunk) => void chunks.push(structuredClone(chunk, { transfer: [chunk.buffer] })),
  );
  output.ascii('[');
  await lists.write(output, items);
  output.ascii(']');
  await output.flush();
  return JSON.parse(Buffer.concat(chunks).toString());
}

const texts = (count: number, text: string): string[] => Array.from({ length: count }, (_, at) => `${text}${at}`);

test('lists are written as they are whichever are kept, and in whatever order they come', async () => {
  const list = fc
    .tuple(fc.constantFrom(0, 1, 499, 500, 700, 4_000), fc.constantFrom('pod-', 'é"😀', 'x'.repeat(300)))
    .map(([count, text]) => texts(count, text));
  await fc.assert(
    fc.asyncProperty(
      fc.array(list, { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      fc.constantFrom(0, 20_000, 200_000, 1e7),
      async (known, order, bytesMax) => {
        const lists = new KeptLists(bytesMax);
        for (const number of order) {
          const items = known[number % known.length]!;
          assert.deepEqual(await written(lists, items), items);
        }
      },
    ),
    { numRuns: 30 },
  );
});

test('a list that a client left midway is not kept in part', async () => {
  const lists = new KeptLists(1e7);
  const items = texts(40_000, 'pod-');
  const left = new JsonOutput(() => Promise.reject(new Error('left')));
  await assert.rejects(lists.write(left, items), /left/);
  assert.deepEqual(await written(lists, items), items);
});

test('values of a label are the list of before while nothing about them changes, and another one when something does', () => {
  const values = new LabelValues();
  texts(600, 'pod-').forEach((value, position) => values.add(value, position));
  const all = values.list(null, Infinity).items;
  assert.equal(values.list(null, Infinity).items, all);
  assert.equal(values.list(new Uint8Array(600).fill(1), 600).items, all);
  const withoutOne = new Uint8Array(600).fill(1);
  withoutOne[5] = 0;
  const some = values.list(withoutOne, Infinity).items;
  assert.deepEqual(
    some,
    all.filter((value) => value !== 'pod-5'),
  );
  assert.equal(values.list(withoutOne, Infinity).items, some);
  values.add('pod-new', 600);
  const more = values.list(null, Infinity).items;
  assert.deepEqual(more, [...all, 'pod-new'].sort());
  assert.equal(all.length, 600);
  assert.deepEqual(values.list(null, 3), { items: more.slice(0, 3), isCut: true });
});
