/** The thread of the Prometheus API: keeps the view of metrics, evaluates, and writes answers, for all clients. */
import { setFlagsFromString } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import { collectAtRest } from '../../base/index.ts';
import { loadScans, type MetricScans, type ScanMakers, seeTableChanges } from '../../materialize/index.ts';
import { createMetricsView } from '../query/prometheus/create-view.ts';
import { createCalls } from './calls.ts';
import { createStoreAsks } from './store-asks.ts';
import type { PrometheusCommand, PrometheusEvent, PrometheusWorkerData } from './types.ts';

/**
 * What a collection left may grow fourfold before the next one. The program favors small heaps (`v8-flags.ts`) until telemetry comes; where none came since the start, the
 * index of stored series took more than twice as long to make, most of it collecting.
 */
const HEAP_GROWTH_PERCENT = 300;

setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`);
const port = parentPort!;
const { settings, limits, load, tableChanges } = workerData as PrometheusWorkerData;
const post = (event: PrometheusEvent, transfer: readonly ArrayBuffer[] = []) => port.postMessage(event, transfer);
const store = createStoreAsks(post);
const view = createMetricsView(scansOf(await loadScans(), tableChanges), settings.view);
const figures = new Int32Array(load);
const onLoad = (...now: readonly number[]) => now.forEach((value, at) => Atomics.store(figures, at, value));
const calls = createCalls({ view, lacking: () => store.lacking(), settings, limits, onLoad, post });
collectAtRest();

port.on('message', (command: PrometheusCommand) => {
  switch (command.type) {
    case 'call':
      return calls.start(command.id, command.request);
    case 'credit':
      return calls.credit(command.id, command.bytes);
    case 'cancel':
      return calls.cancel(command.id);
    default:
      return store.receive(command);
  }
});

/** What is kept between requests is as good as what tells of changes. */
function scansOf(
  { createMetricScans, createUnaskedScans, createKeptScans }: ScanMakers,
  memory: SharedArrayBuffer | null,
): MetricScans {
  const scans = createMetricScans((request, signal) => store.ask(request, signal));
  if (memory === null) return scans;
  const see = () => seeTableChanges(memory);
  return createKeptScans(
    createUnaskedScans(scans, see, () => store.lacking() === null),
    { see },
  );
}
