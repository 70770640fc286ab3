/** Exporters in `/metrics`. */
import type { ExporterStatus } from '../push/exporter.ts';
import type { ExportersStatus } from '../push/manager.ts';
import type { Family } from './metrics.ts';

/** `treasury_exporter_*`, with the exporter's name as label. */
export function exporterFamilies({ exporters, faults, workerRestarts }: ExportersStatus): Family[] {
  const each = (
    name: string,
    type: Family['type'],
    help: string,
    value: (status: ExporterStatus) => number | bigint,
  ) => ({
    name: `treasury_exporter_${name}`,
    type,
    help,
    samples: exporters.map((status) => ({ labels: { exporter: status.config.name }, value: value(status) })),
  });
  const states = exporters.flatMap(({ config, state }) =>
    STATES.map((one) => ({ labels: { exporter: config.name, state: one }, value: one === state ? 1 : 0 })),
  );
  const known = exporters.filter(({ lagSeconds }) => lagSeconds !== null);
  return [
    single('treasury_exporters', 'gauge', 'Exporters.', exporters.length),
    single('treasury_exporter_files_unusable', 'gauge', 'Files of exporters that cannot be used.', faults.length),
    single('treasury_push_worker_restarts_total', 'counter', 'Starts of the thread after a death.', workerRestarts),
    { name: 'treasury_exporter_state', type: 'gauge', help: '1 for the state it is in.', samples: states },
    each('acked_offset', 'gauge', 'Everything below is acknowledged, set aside or filtered out.', (e) => e.ackedOffset),
    each('read_offset', 'gauge', 'Entries below were read.', (e) => e.readOffset),
    each('lag_entries', 'gauge', 'Durable entries that are not sent.', (e) => e.lagEntries),
    {
      name: 'treasury_exporter_lag_seconds',
      type: 'gauge',
      help: 'Age of the oldest of them; left out while it is older than this process.',
      samples: known.map(({ config, lagSeconds }) => ({ labels: { exporter: config.name }, value: lagSeconds ?? 0 })),
    },
    each('sent_batches_total', 'counter', 'Batches acknowledged.', (e) => e.totals.sentBatches),
    each('sent_items_total', 'counter', 'Records, spans and data points acknowledged.', (e) => e.totals.sentItems),
    each('sent_bytes_total', 'counter', 'Bytes sent.', (e) => e.totals.sentBytes),
    each('retries_total', 'counter', 'Tries without an answer or with a retryable one.', (e) => e.totals.retries),
    each('resent_batches_total', 'counter', 'Batches whose first try may have arrived.', (e) => e.totals.resentBatches),
    each('filtered_items_total', 'counter', 'Items that the filter left out.', (e) => e.totals.filteredItems),
    each('rejected_items_total', 'counter', 'Items that the target left out.', (e) => e.totals.rejectedItems),
    each('orphan_rows_total', 'counter', 'Rows left out since OTLP cannot hold them.', (e) => e.totals.orphanRows),
    each('set_aside_entries_total', 'counter', 'Entries given up.', (e) => e.totals.setAsideEntries),
    each('lost_entries_total', 'counter', 'Entries deleted before they were sent.', (e) => e.totals.lostEntries),
  ];
}

const STATES: readonly ExporterStatus['state'][] = ['running', 'idle', 'paused', 'retrying', 'failed'];

function single(name: string, type: Family['type'], help: string, value: number): Family {
  return { name, type, help, samples: [{ value }] };
}
