/** A real Collector that keeps in files what it is sent, by whichever protocol, and may come back at the same addresses. */
import type { TestContext } from 'node:test';
import type { Signal } from '../../src/base/index.ts';
import { type Collector, collectorTools, freePort, startCollector } from './collector.ts';
import type { TelemetryRow } from './telemetry-rows.ts';

/** What an exporter may speak to it. */
export const COLLECTOR_PROTOCOLS = ['otap', 'otlp-grpc', 'otlp-http'] as const;
export type CollectorProtocol = (typeof COLLECTOR_PROTOCOLS)[number];

export interface Receiver {
  readonly collector: Collector;
  /** HOST:PORT, by protocol. */
  readonly addresses: Readonly<Record<CollectorProtocol, string>>;
}

export interface ReceiverOptions {
  /** Takes the addresses of one that has ended. */
  readonly before?: Receiver;
  /** What is acknowledged is in the files at once, and survives kill -9; by default it waits in a buffer. */
  readonly isUnbuffered?: boolean;
}

/** Starts one with the stock receivers, as they come; `directory` keeps its files. Killed when the test ends. */
export async function startReceiver(
  t: TestContext,
  directory: string,
  { before, isUnbuffered = false }: ReceiverOptions = {},
): Promise<Receiver> {
  const tools = collectorTools();
  if (typeof tools === 'string') throw new Error(tools);
  const http = before?.addresses['otlp-http'] ?? `127.0.0.1:${await freePort()}`;
  const settings = [`receivers::otlp::protocols::http::endpoint=${http}`];
  if (before !== undefined) {
    settings.push(`receivers::otlp::protocols::grpc::endpoint=${before.addresses['otlp-grpc']}`);
    settings.push(`receivers::otelarrow::protocols::grpc::endpoint=${before.addresses.otap}`);
  }
  if (isUnbuffered) {
    // A file that may be rotated is written without a buffer. It never gets that large.
    for (const signal of ['logs', 'traces', 'metrics']) {
      settings.push(`exporters::file/${signal}::rotation::max_megabytes=10000`);
    }
  }
  const collector = await startCollector(tools, '', directory, settings, 'receive-file');
  t.after(() => collector.end('SIGKILL'));
  const fresh = { otap: collector.arrow, 'otlp-grpc': collector.otlp, 'otlp-http': http };
  return { collector, addresses: before?.addresses ?? fresh };
}

/** The rows that it keeps of a signal, as comparisons have them. */
export function received(signal: Signal, { collector }: Receiver): TelemetryRow[] {
  return collector.received(signal).map(withoutRepeatedKeys);
}

/** The Arrow receiver keeps one value of a key that a record has twice; the generator names such keys so. */
export function withoutRepeatedKeys(row: TelemetryRow): TelemetryRow {
  const attributes = row['attributes'] as [string, unknown][] | undefined;
  if (attributes === undefined) return row;
  return { ...row, attributes: attributes.filter(([key]) => !key.includes('~dup=')) };
}
