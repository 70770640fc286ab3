/**
 * Goal: expressions give what they give in Prometheus. Method: every script of Prometheus' own tests that lies beside the project, and those of ours, in which a
 * Prometheus found no fault, over series in memory. Invariant: no evaluation fails, and none is passed over.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { MemorySource } from '../../../conformance/memory-source.ts';
import { PASSES } from '../../../conformance/passes.ts';
import { runScript } from '../../../conformance/run-script.ts';
import { sharedPromqlFiles } from '../../../conformance/shared-files.ts';
import { root } from '../../../helpers/checkout.ts';
import { columnSource } from '../../../helpers/histogram-columns.ts';

const scripts = sharedPromqlFiles('.test');
const skip = scripts === undefined && "Prometheus' scripts are not beside the project";

const OURS = join(root, 'test/fixtures/promql');
for (const name of readdirSync(OURS).filter((each) => each.endsWith('.test'))) {
  test(`Our ${name} passes`, async () => {
    const text = readFileSync(join(OURS, name), 'utf8');
    const { passed, failures } = await runScript(text, new MemorySource());
    assert.deepEqual(failures, []);
    assert.equal(passed, text.match(/^eval /gm)?.length);
  });
}

for (const path of scripts ?? []) {
  test(`${basename(path)} passes`, async () => {
    const { passed, failures } = await runScript(readFileSync(path, 'utf8'), new MemorySource());
    assert.deepEqual(failures, []);
    assert.ok(passed >= (PASSES[basename(path)] ?? 1), `${passed} evaluations passed`);
  });
}

for (const path of scripts?.filter((each) => basename(each) === 'native_histograms.test') ?? []) {
  test(`${basename(path)} passes with histograms in columns`, async () => {
    const { failures } = await runScript(readFileSync(path, 'utf8'), new MemorySource(columnSource));
    assert.deepEqual(failures, []);
  });
}

test('our scripts of histograms pass with histograms in columns', async () => {
  const text = readFileSync(join(OURS, 'histograms.test'), 'utf8');
  assert.deepEqual((await runScript(text, new MemorySource(columnSource))).failures, []);
});

test('every script that is known is run', { skip }, () => {
  const names = new Set(scripts!.map((path) => basename(path)));
  for (const name of Object.keys(PASSES)) assert.ok(names.has(name), name);
});
