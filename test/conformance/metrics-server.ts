/** What takes OTLP and answers scans of metrics, in this process: the real port, log, engine and tables. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAdmission } from '../../src/api/admission.ts';
import { startOtlpHttpServer } from '../../src/api/index.ts';
import { createOtlpIntake } from '../../src/api/otlp/otlp-intake.ts';
import { LIMITS, silentLogger } from '../../src/base/index.ts';
import { createMetricScans } from '../../src/materialize/scan/metric-scans.ts';
import type { MetricScans } from '../../src/materialize/scan/types.ts';
import { durableOf, engineUntil, openTestLog, startTestEngine } from '../helpers/engine-log.ts';
import { createOtlpHttpClient } from '../helpers/otlp-client.ts';

export interface MetricsServer {
  /** Of all that is stored; for one reader, as scans are. */
  createScans(): MetricScans;
  /** Sends export requests of metrics (protobuf), and waits until all can be queried. */
  send(requests: readonly Uint8Array[]): Promise<void>;
  stop(): Promise<void>;
}

/** Starts one on a directory of its own, which is gone after `stop`. */
export async function startMetricsServer(): Promise<MetricsServer> {
  const directory = await mkdtemp(join(tmpdir(), 'conformance-'));
  const log = await openTestLog(directory);
  const engine = await startTestEngine(directory, log.status());
  const admission = createAdmission(LIMITS.inFlightReadBytesMax, LIMITS.inFlightBytesMax);
  const intake = createOtlpIntake({ log, logger: silentLogger, admission });
  const options = { host: '127.0.0.1', port: 0, intake, logger: silentLogger, corsOrigins: [] };
  const listener = await startOtlpHttpServer(options);
  const client = await createOtlpHttpClient(listener.address);
  return {
    createScans: () => createMetricScans((request, signal) => engine.sql(request, signal)),
    async send(requests) {
      for (const request of requests) {
        const { status, body } = await client.export('metrics', request);
        assert.equal(status, 200, body.toString());
        // A partial success has a body: rows that were refused.
        assert.equal(body.length, 0, body.toString());
      }
      engine.advance(durableOf(log.status()));
      const { durableOffset } = log.status();
      const { quarantinedTotal } = await engineUntil(engine, (status) => status.materializedOffset >= durableOffset);
      assert.equal(quarantinedTotal, 0);
    },
    async stop() {
      client.close();
      await listener.stop();
      await engine.stop();
      await log.close();
      await rm(directory, { recursive: true });
    },
  };
}
