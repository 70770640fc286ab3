/** What the SDK makes of this server's 503: the same request again after `Retry-After`, and nothing lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { listenToSdk, startSdk } from '../../helpers/otlp-sdk.ts';
import { startOtlpHarness } from './otlp-harness.ts';

const IN_FLIGHT_BYTES_MAX = 1024;

for (const protocol of ['http/protobuf', 'http/json'] as const) {
  test(`the SDK over ${protocol} sends again what was refused with 503 and Retry-After`, async (t) => {
    const harness = await startOtlpHarness(t, { inFlightBytesMax: IN_FLIGHT_BYTES_MAX });
    const heard = listenToSdk();
    t.after(() => heard.end());
    const sdk = startSdk({
      protocol,
      compression: 'gzip',
      server: { grpc: '127.0.0.1:1', otlpHttp: `127.0.0.1:${harness.port}` },
      resource: resourceFromAttributes({ 'service.name': 'patient' }),
    });
    assert.ok(harness.intake.admission.admit(IN_FLIGHT_BYTES_MAX));
    sdk.loggers.getLogger('patient').emit({ body: 'kept by its sender for a while' });
    const flushed = sdk.flush();
    while (harness.counts().unavailable === 0) await sleep(5);
    harness.intake.admission.release(IN_FLIGHT_BYTES_MAX);
    await flushed;
    assert.deepEqual(
      sdk.exports.logs.map(({ error }) => error),
      [null],
    );
    assert.ok(heard.retries.length > 0);
    const { accepted, rows } = harness.counts();
    assert.deepEqual({ accepted, rows }, { accepted: 1, rows: 1 });
    await sdk.stop();
  });
}
