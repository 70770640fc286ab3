/** What a Collector sent, decoded and projected, against what had gone into it: both schemas, every cell. */
import assert from 'node:assert/strict';
import { before, test, type TestContext } from 'node:test';
import { SIGNALS } from '../../../src/base/index.ts';
import { createStreamDecoder, initZstd } from '../../../src/otap/index.ts';
import { captureNames, readArrowStreams, readCapture, sharedCapturesMissing } from '../../helpers/captures.ts';
import { expectedRows } from '../../helpers/expected-rows.ts';
import { expectedMainRows, mainRows } from '../../helpers/main-rows.ts';
import { normalizedRows } from '../../helpers/normalized-rows.ts';
import { canonicalLines, type TelemetryRow } from '../../helpers/telemetry-rows.ts';
import { openStore } from './store.ts';

/** Small ones of every signal and of all odd values; the others take the whole way in test/e2e. */
const NAMES = ['odd-1', 'empties-1', 'rich-1', 'evolve-1', 'hostmetrics-1', 'telemetrygen-1'];

before(() => initZstd());

const own = new Set(captureNames({ shared: false }));
for (const name of NAMES) {
  const skip = own.has(name) ? false : sharedCapturesMissing();
  test(`the views hold capture ${name} as it went into the Collector`, { skip }, (t) => checkCapture(t, name));
}

async function checkCapture(t: TestContext, name: string): Promise<void> {
  const store = await openStore(t);
  let offset = 0n;
  await store.run('BEGIN');
  for (const stream of readArrowStreams(name)) {
    const decoder = createStreamDecoder(stream.arrowSignal);
    for (const message of stream.messages) store.project(decoder.decode(message), offset++);
  }
  await store.beforeCommit();
  await store.run('COMMIT');
  for (const signal of SIGNALS) {
    const expected: TelemetryRow[] = [];
    for (const record of readCapture(name, 'expect')) {
      if (record.t === 'otlp' && record.signal === signal) expected.push(...expectedRows(signal, record.body));
    }
    compare(await normalizedRows(store.connection, signal), expected, `${name} ${signal}, normalized`);
    compare(await mainRows(store.connection, signal), expectedMainRows(expected), `${name} ${signal}, main`);
  }
}

function compare(actualRows: readonly TelemetryRow[], expectedOnes: readonly TelemetryRow[], what: string): void {
  const actual = canonicalLines(actualRows);
  const expected = canonicalLines(expectedOnes);
  const differing = actual.findIndex((line, i) => line !== expected[i]);
  if (differing >= 0) assert.equal(actual[differing], expected[differing], `${what}, line ${differing}`);
  assert.equal(actual.length, expected.length, what);
}
