/** Exporters of a running server, as users see them over HTTP. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerProcess } from './server-process.ts';

export interface ExporterFigures {
  readonly state: string;
  readonly error: string | null;
  readonly fallback: string | null;
  readonly ackedOffset: number;
  readonly lag: { readonly entries: number };
  readonly retries: number;
  readonly resentBatches: number;
  readonly rejectedItems: number;
  readonly lostEntries: number;
  readonly setAside: { readonly entries: number };
}

/** Makes an exporter; `exporter` as in docs/push.md. */
export async function createExporter(source: ServerProcess, exporter: Readonly<Record<string, string>>): Promise<void> {
  const body = JSON.stringify(exporter);
  const response = await fetch(`http://${source.http}/treasury/v1/exporters`, { method: 'POST', body });
  assert.equal(response.status, 201, await response.text());
}

/** One exporter; fails when it does not get on. */
export async function exporterFigures(source: ServerProcess, name: string): Promise<ExporterFigures> {
  // A test that was busy for long would find a kept connection closed.
  const headers = { connection: 'close' };
  const response = await fetch(`http://${source.http}/treasury/v1/exporters/${name}`, { headers });
  const figures = (await response.json()) as ExporterFigures;
  assert.equal(response.status, 200, JSON.stringify(figures));
  assert.notEqual(figures.state, 'failed', figures.error ?? '');
  return figures;
}

/** Waits until everything below an offset is acknowledged. */
export async function untilAcked(source: ServerProcess, name: string, offset: number): Promise<void> {
  while ((await exporterFigures(source, name)).ackedOffset < offset) await sleep(5);
}

/** Waits until all that the log holds is acknowledged. */
export async function untilSent(source: ServerProcess, name: string): Promise<ExporterFigures> {
  for (;;) {
    const figures = await exporterFigures(source, name);
    if (figures.lag.entries === 0) return figures;
    await sleep(20);
  }
}

/** Asserts that the target took every batch whole, at the first try and by the protocol that was asked for. */
export function assertSmooth({ error, fallback, retries, setAside, ...counts }: ExporterFigures): void {
  const { resentBatches, rejectedItems, lostEntries } = counts;
  assert.deepEqual(
    { error, fallback, retries, setAside: setAside.entries, resentBatches, rejectedItems, lostEntries },
    { error: null, fallback: null, retries: 0, setAside: 0, resentBatches: 0, rejectedItems: 0, lostEntries: 0 },
  );
}

/** Where a start of the server would have the exporter go on: what is on the disk of its data directory. */
export function cursorOnDisk(data: string, name: string): bigint {
  const { offset } = JSON.parse(readFileSync(join(data, 'cursors', `${name}.json`), 'utf8')) as { offset: string };
  return BigInt(offset);
}
