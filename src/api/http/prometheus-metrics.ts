/** The API of Prometheus in `/metrics`. */
import type { PrometheusQueries } from '../prometheus/queries.ts';
import type { Family } from './metrics.ts';

/** `treasury_prometheus_*`, with the path below `/api/v1/` as label. */
export function prometheusFamilies({ figures, load }: PrometheusQueries): Family[] {
  const { running, queued } = load();
  const all = figures.list();
  return [
    {
      name: 'treasury_prometheus_requests_total',
      type: 'counter',
      help: 'Requests to the Prometheus API by how they ended.',
      samples: all.flatMap(({ endpoint, outcomes }) =>
        Object.entries(outcomes).map(([outcome, value]) => ({ labels: { endpoint, outcome }, value })),
      ),
    },
    {
      name: 'treasury_prometheus_request_seconds_total',
      type: 'counter',
      help: 'Time they took, sending included.',
      samples: all.map(({ endpoint, secondsTotal }) => ({ labels: { endpoint }, value: secondsTotal })),
    },
    {
      name: 'treasury_prometheus_running',
      type: 'gauge',
      help: 'Requests to the Prometheus API being worked on.',
      samples: [{ value: running }],
    },
    { name: 'treasury_prometheus_queued', type: 'gauge', help: 'Those waiting.', samples: [{ value: queued }] },
  ];
}
