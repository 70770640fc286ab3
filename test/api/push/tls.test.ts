/**
 * Goal: exporters trust whom they are told to, show what they are told to, and say why when a connection does not come about.
 * Method: targets over TLS with certificates of an authority of the tests (`fixtures/tls/make.sh`), for all protocols.
 */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { SenderConfig } from '../../../src/api/push/open-sender.ts';
import type { ExporterTls } from '../../../src/api/push/types.ts';
import { scratchDirectory } from '../../helpers/server-process.ts';
import { type PushFixture, startPush } from './push-fixture.ts';
import { startGrpcTarget, startHttpTarget, startOtapTarget, type TargetTls } from './targets.ts';

const FIXTURES = join(import.meta.dirname, '..', '..', 'fixtures', 'tls');
const file = (name: string): string => join(FIXTURES, `${name}.pem`);
const TARGET: TargetTls = { cert: readFileSync(file('target')), key: readFileSync(file('target-key')) };
/** The certificate of the target is for target.test, and it listens at an address. */
const TRUSTED: ExporterTls = { caFile: file('ca'), serverName: 'target.test' };

const PROTOCOLS = ['otap', 'otlp-grpc', 'otlp-http'] as const;

interface SecureTarget {
  readonly endpoint: string;
  readonly accepted: readonly string[];
}

function startTarget(t: TestContext, protocol: SenderConfig['protocol'], tls: TargetTls): Promise<SecureTarget> {
  if (protocol === 'otap') return startOtapTarget(t, { tls });
  return protocol === 'otlp-grpc' ? startGrpcTarget(t, undefined, { tls }) : startHttpTarget(t, undefined, tls);
}

async function startFilledPush(t: TestContext): Promise<PushFixture> {
  const push = await startPush(t);
  for (const name of ['0', '1', '2']) await push.append([name]);
  return push;
}

function exporter(protocol: SenderConfig['protocol'], endpoint: string, tls?: ExporterTls): SenderConfig {
  return { name: 'test', protocol, endpoint, ...(tls === undefined ? {} : { tls }) };
}

for (const protocol of PROTOCOLS) {
  test(`an exporter sends by ${protocol} to a target whose authority it is given`, async (t) => {
    const target = await startTarget(t, protocol, TARGET);
    const push = await startFilledPush(t);
    push.start(exporter(protocol, target.endpoint, TRUSTED));
    const progress = await push.untilSent();
    assert.deepEqual(target.accepted, ['0', '1', '2']);
    assert.deepEqual([progress.retries, progress.error], [0, null]);
  });

  test(`an exporter by ${protocol} sends nothing to a target that it cannot trust, and says why`, async (t) => {
    const target = await startTarget(t, protocol, TARGET);
    const push = await startFilledPush(t);
    const cases: readonly (readonly [ExporterTls | undefined, RegExp])[] = [
      [undefined, /unable to verify|self.signed|unable to get/i],
      [{ caFile: file('other-ca'), serverName: 'target.test' }, /unable to verify|self.signed|unable to get/i],
      [{ caFile: file('ca') }, /127\.0\.0\.1/],
      [{ caFile: file('ca'), serverName: 'other.test' }, /other\.test/],
    ];
    for (const [tls, reason] of cases) {
      push.start(exporter(protocol, target.endpoint, tls));
      const failing = await push.until(({ state, error }) => state === 'retrying' && reason.test(error ?? ''));
      assert.equal(failing.resentBatches, 0);
      await push.stop();
    }
    assert.deepEqual(target.accepted, []);
    push.start(exporter(protocol, target.endpoint, { skipVerify: true }));
    await push.untilSent();
    assert.deepEqual(target.accepted, ['0', '1', '2']);
  });

  test(`an exporter by ${protocol} shows its certificate to a target that asks for one`, async (t) => {
    const ca = readFileSync(file('ca'));
    const target = await startTarget(t, protocol, { ...TARGET, ca, requestCert: true, rejectUnauthorized: true });
    const push = await startFilledPush(t);
    push.start(exporter(protocol, target.endpoint, TRUSTED));
    await push.until(({ state }) => state === 'retrying');
    await push.stop();
    assert.deepEqual(target.accepted, []);
    push.start(
      exporter(protocol, target.endpoint, { ...TRUSTED, certFile: file('client'), keyFile: file('client-key') }),
    );
    await push.untilSent();
    assert.deepEqual(target.accepted, ['0', '1', '2']);
  });

  test(`an exporter by ${protocol} waits for a file of its certificates that is missing`, async (t) => {
    const target = await startTarget(t, protocol, TARGET);
    const push = await startFilledPush(t);
    const caFile = join(scratchDirectory(t), 'ca.pem');
    push.start(exporter(protocol, target.endpoint, { ...TRUSTED, caFile }));
    const failing = await push.until(({ state }) => state === 'retrying');
    assert.match(failing.error ?? '', /Cannot read tls\.caFile: .*ca\.pem/);
    copyFileSync(file('ca'), caFile);
    const progress = await push.untilSent();
    assert.deepEqual([target.accepted, progress.error], [['0', '1', '2'], null]);
  });
}
