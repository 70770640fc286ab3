/** A real log, engine, and view of metrics over it, fed with OTLP/JSON requests. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMetricsView } from '../../src/api/query/prometheus/create-view.ts';
import type { MetricsView } from '../../src/api/query/prometheus/metrics-view.ts';
import type { ViewSettings } from '../../src/api/query/prometheus/view-settings.ts';
import { SIGNAL_CODES } from '../../src/base/index.ts';
import { createMetricScans } from '../../src/materialize/scan/metric-scans.ts';
import type { MetricScans } from '../../src/materialize/scan/types.ts';
import type { Engine } from '../../src/materialize/types.ts';
import { OTLP_CONTENT_TYPES } from '../../src/otap/index.ts';
import { durableOf, engineUntil, openTestLog, startTestEngine } from './engine-log.ts';

export interface StoredMetrics {
  readonly engine: Engine;
  readonly scans: MetricScans;
  readonly view: MetricsView;
  /** Another view of the same store. */
  viewWith(settings: Partial<ViewSettings>): MetricsView;
  /** Stores the metrics of one resource and scope, and waits until they can be queried. */
  send(metrics: readonly object[], about?: MetricsOrigin): Promise<void>;
}

export interface MetricsOrigin {
  readonly resource?: Readonly<Record<string, string>>;
  readonly scope?: {
    readonly name?: string;
    readonly version?: string;
    readonly attributes?: Readonly<Record<string, string>>;
  };
}

export const VIEW_SETTINGS: ViewSettings = {
  strategy: 'UnderscoreEscapingWithSuffixes',
  promotedResourceAttributes: [],
  keepsIdentifyingAttributes: false,
  promotesScope: false,
  convertsHistograms: false,
  typeAndUnitLabels: false,
  lookbackMs: 300_000,
};

/** Closed by what `after` is told. */
export async function storedMetrics({ after }: { after(close: () => Promise<void>): void }): Promise<StoredMetrics> {
  const directory = await mkdtemp(join(tmpdir(), 'metrics-view-'));
  const log = await openTestLog(directory);
  const engine = await startTestEngine(directory, log.status());
  after(async () => {
    await engine.stop();
    await log.close();
    await rm(directory, { recursive: true });
  });
  const scans = createMetricScans((request, signal) => engine.sql(request, signal));
  return {
    engine,
    scans,
    view: createMetricsView(scans, VIEW_SETTINGS),
    viewWith: (settings) =>
      createMetricsView(
        createMetricScans((request, signal) => engine.sql(request, signal)),
        { ...VIEW_SETTINGS, ...settings },
      ),
    async send(metrics, { resource = {}, scope = {} } = {}) {
      const { name, version, attributes = {} } = scope;
      const request = {
        resourceMetrics: [
          {
            resource: { attributes: otlpAttributes(resource) },
            scopeMetrics: [{ scope: { name, version, attributes: otlpAttributes(attributes) }, metrics }],
          },
        ],
      };
      const record = Buffer.from(JSON.stringify(request));
      const headers = new Map([['content-type', OTLP_CONTENT_TYPES.JSON]]);
      await log.appendOtlp(SIGNAL_CODES.metrics, { batchId: 0n, record: [record], headers });
      engine.advance(durableOf(log.status()));
      const { durableOffset } = log.status();
      await engineUntil(engine, (status) => status.materializedOffset >= durableOffset);
    },
  };
}

export function otlpAttributes(attributes: Readonly<Record<string, string>>): object[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: { stringValue: value } }));
}

/** Seconds as OTLP's nanoseconds. */
export function nanos(seconds: number): string {
  return `${BigInt(Math.round(seconds * 1000)) * 1_000_000n}`;
}
