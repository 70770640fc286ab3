/** The reading port over a real store of metrics, for tests of the Prometheus API. */
import { createPrometheusQueries } from '../../../src/api/index.ts';
import type { PrometheusQueries, PrometheusQueriesOptions } from '../../../src/api/prometheus/queries.ts';
import { type Logger, silentLogger } from '../../../src/base/index.ts';
import { nanos, type StoredMetrics, storedMetrics } from '../../helpers/metrics-view.ts';
import { PROMETHEUS_SETTINGS, startHttpHarness } from '../http/harness.ts';

export interface PrometheusServer {
  /** With `/api/v1` at its end. */
  readonly base: string;
  readonly store: StoredMetrics;
  readonly queries: PrometheusQueries;
  /** Questions that reached the engine. */
  readonly asked: string[];
}

interface After {
  after(close: () => Promise<void>): void;
}

/** Closed by what `t` is told. `options` replace what the test is about. */
export async function startPrometheusServer(
  t: After,
  options: Partial<PrometheusQueriesOptions> = {},
  logger: Logger = silentLogger,
): Promise<PrometheusServer> {
  // Closed in reverse: the store last.
  const closing: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closing.toReversed()) await close();
  });
  const store = await storedMetrics({ after: (close) => closing.push(close) });
  const asked: string[] = [];
  const queries = createPrometheusQueries({
    engine: {
      tableChanges: store.engine.tableChanges,
      sql: (request, signal) => {
        asked.push(request.query);
        return store.engine.sql(request, signal);
      },
    },
    settings: PROMETHEUS_SETTINGS,
    logger,
    ...options,
  });
  closing.push(() => queries.stop());
  const { base, listener } = await startHttpHarness({ prometheus: queries }, undefined, logger);
  closing.push(() => listener.stop());
  return { base: `${base}/api/v1`, store, queries, asked };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Envelope;
}

export interface Envelope {
  readonly status: string;
  readonly data?: unknown;
  readonly errorType?: string;
  readonly error?: string;
  readonly warnings?: readonly string[];
  readonly infos?: readonly string[];
}

type Parameters = Readonly<Record<string, string>>;

/** As Grafana's backend asks: a form, with keys sorted. */
export async function post(base: string, path: string, parameters: Parameters): Promise<Answer> {
  const body = new URLSearchParams(Object.entries(parameters).toSorted(byName)).toString();
  const headers = {
    'Content-Type': 'application/x-www-form-urlencoded',
    'User-Agent': 'Grafana/13.1.0 (linux; amd64) prometheus/13.1.7',
    'Accept-Encoding': 'gzip',
    'X-Grafana-Org-Id': '1',
    'X-Panel-Id': '2',
    FromAlert: 'true',
  };
  return answerOf(await fetch(base + path, { method: 'POST', body, headers }));
}

const byName = ([left]: [string, string], [right]: [string, string]): number => (left < right ? -1 : 1);

export async function get(base: string, path: string, parameters: Parameters = {}): Promise<Answer> {
  const query = new URLSearchParams(parameters).toString();
  return answerOf(await fetch(`${base}${path}${query === '' ? '' : `?${query}`}`));
}

export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  const isJson = response.headers.get('content-type') === 'application/json';
  const body = isJson ? (JSON.parse(text) as Envelope) : { status: 'none' };
  return { status: response.status, headers: response.headers, text, body };
}

/** A counter of OTLP with one sample each of `seconds`, which grows by 10 each time. */
export function counter(name: string, seconds: readonly number[], attributes: Parameters = {}): object {
  return {
    name,
    description: `Help of ${name}`,
    unit: '1',
    sum: {
      aggregationTemporality: 2,
      isMonotonic: true,
      dataPoints: seconds.map((second, at) => ({
        attributes: pairs(attributes),
        startTimeUnixNano: nanos(seconds[0]! - 1),
        timeUnixNano: nanos(second),
        asDouble: (at + 1) * 10,
      })),
    },
  };
}

export function gauge(name: string, seconds: readonly number[], value: number, attributes: Parameters = {}): object {
  return {
    name,
    gauge: {
      dataPoints: seconds.map((second) => ({
        attributes: pairs(attributes),
        timeUnixNano: nanos(second),
        asDouble: value,
      })),
    },
  };
}

function pairs(attributes: Parameters): object[] {
  return Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } }));
}
