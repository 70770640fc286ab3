/** docs/schema.md against the tables of the release: every view and column that people may use is on the page, and nothing else. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { openStore } from './projections/store.ts';

const PAGE = readFileSync(new URL('../../docs/schema.md', import.meta.url), 'utf8');

test('page of the schema names every view of main with its columns, and no others', async (t) => {
  const columns = await columnsOf(t, 'main');
  const section = sectionOf('main');
  const documented = new Map(
    [...section.matchAll(/^\| (`[^|]+`) \| (.*) \|$/gm)].flatMap(([, names, text]) =>
      namesIn(names!).map((name) => [name, text!] as const),
    ),
  );
  assert.deepEqual([...documented.keys()].toSorted(), [...columns.keys()].toSorted());
  const words = new Set(section.match(/\w+/g));
  for (const [view, names] of columns) {
    assert.deepEqual(
      names.filter((name) => !words.has(name)),
      [],
      `columns of ${view} that are not on the page`,
    );
    // Those whose row points to no other view have all of their columns there, and only those.
    const text = documented.get(view)!;
    if (/\bas\b|joined|one row/.test(text)) continue;
    const named = namesIn(text.replace(/\([A-Z]+ of STRUCT [^)]*\)/g, '').split('. ')[0]!);
    assert.deepEqual(named, names, `columns of ${view}`);
  }
});

test('page of the schema names every view of normalized, and no others', async (t) => {
  const columns = await columnsOf(t, 'normalized');
  const [list = ''] = sectionOf('normalized').split('\n\n- ');
  const plain = namesIn(list).filter((name) => columns.has(name));
  const points = ['number', 'summary', 'histogram', 'exp_histogram'].flatMap((kind) => [
    `${kind}_data_points`,
    `${kind}_dp_attrs`,
    ...(kind === 'summary' ? [] : [`${kind}_dp_exemplars`, `${kind}_dp_exemplar_attrs`]),
  ]);
  assert.deepEqual([...plain, ...points].toSorted(), [...columns.keys()].toSorted());
  for (const [view, names] of columns) assert.ok(names.includes('entry_offset'), view);
});

async function columnsOf(t: TestContext, schema: string): Promise<Map<string, string[]>> {
  const { rows } = await openStore(t);
  const found = await rows(
    `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = '${schema}' ORDER BY table_name, ordinal_position`,
  );
  const columns = new Map<string, string[]>();
  for (const row of found) {
    const { table_name: view, column_name: column } = row as { table_name: string; column_name: string };
    columns.set(view, [...(columns.get(view) ?? []), column]);
  }
  assert.ok(columns.size > 0);
  return columns;
}

function sectionOf(name: string): string {
  const section = PAGE.split(/^## /m).find((part) => part.startsWith(`${name}\n`));
  assert.ok(section !== undefined, name);
  return section;
}

/** What stands between backticks. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
}
