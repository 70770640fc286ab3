/**
 * Goal: what is stored answers as Prometheus does. Method: scripts whose series go as OTLP through the port, the log and the tables, and come back through scans
 * and the view; ours, whose expected values are Prometheus', and two of Prometheus' own. `npm run conformance:promql -- --storage` runs any others.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { type MetricsServer, startMetricsServer } from '../../../conformance/metrics-server.ts';
import { PASSES } from '../../../conformance/passes.ts';
import { runScript } from '../../../conformance/run-script.ts';
import { sharedPromqlFiles } from '../../../conformance/shared-files.ts';
import { StoredSource } from '../../../conformance/stored-source.ts';
import { root } from '../../../helpers/checkout.ts';

const STORED = readFileSync(join(root, 'test/fixtures/promql/stored.test'), 'utf8');
const shared = sharedPromqlFiles('.test');
const skip = shared === undefined && "Prometheus' scripts are not beside the project";

let server: MetricsServer;
let source: StoredSource;
before(async () => {
  server = await startMetricsServer();
  source = new StoredSource(server);
});
after(() => server.stop());

test('Our script of what storage has to keep passes over storage', async () => {
  const passed = STORED.match(/^eval /gm)?.length;
  assert.deepEqual(await runScript(STORED, source), { passed, failures: [], unsayable: [] });
});

for (const name of ['start_timestamps.test', 'operators.test']) {
  test(`${name} passes over storage, behind other scripts`, { skip }, async () => {
    const path = shared!.find((each) => basename(each) === name)!;
    const { passed, ...others } = await runScript(readFileSync(path, 'utf8'), source);
    assert.deepEqual(others, { failures: [], unsayable: [] });
    assert.ok(passed >= PASSES[name]!, `${passed} evaluations passed`);
  });
}

const UNSAYABLE = `
load 1m
  whole {{schema:0 count:4 sum:5 buckets:[1 3]}}x2
  part {{schema:0 count:4.5 sum:5 buckets:[1 3.5]}} 7 7
  negative {{schema:0 count:-1 sum:5 buckets:[-1]}}x2
  gauge {{schema:0 count:4 sum:5 counter_reset_hint:gauge buckets:[1 3]}}x2
  reset {{schema:0 count:4 sum:5 counter_reset_hint:reset buckets:[1 3]}}x2
  distant {{schema:8 count:2 sum:5 offset:-900000 buckets:[1] n_buckets:[1]}}x2
  apart {{schema:8 count:1 sum:5 offset:-90000 buckets:[1]}}+{{schema:8 count:1 sum:5 offset:90000 buckets:[1]}}x2
  named{__="underscores"} 1 1 1

eval instant at 1m part or whole
  {__name__="whole"} 0

eval instant at 1m histogram_count(part)
  {} 4.5

eval instant at 20m histogram_count(part)

eval instant at 1m {__name__=~"negative|gauge|reset|named"}
  {} 0

eval instant at 1m whole
  {__name__="whole"} 0

eval instant at 1m apart
  {__name__="apart"} 0

eval instant at 1m distant
  {__name__="distant"} {{schema:8 count:2 sum:5 offset:-900000 buckets:[1] n_buckets:[1]}}
`;

test('Evaluations that ask for what OTLP cannot say are named with the reason, and no others are', async () => {
  const { passed, failures, unsayable } = await runScript(UNSAYABLE, source);
  assert.deepEqual(unsayable, [
    { line: 12, reason: 'numbers of observations that are not whole' },
    { line: 15, reason: 'numbers of observations that are not whole' },
    {
      line: 20,
      reason:
        'negative numbers of observations, histograms that are gauges, counter resets that a histogram tells of itself, labels of underscores alone',
    },
    { line: 26, reason: 'buckets too far apart' },
  ]);
  assert.deepEqual(
    failures.map(({ line }) => line),
    [23],
  );
  assert.equal(passed, 2);
});
