/**
 * The exporter's side of an OTAP stream: what upstream's Go exporter would send of a batch, so that its receivers and ours take it.
 * Root payload first, one record batch a payload, ids delta-encoded without metadata, schema ids from one count.
 */
import type { Signal } from '../base/index.ts';
import { ByteOutput } from './byte-output.ts';
import type { CanonicalBatch } from './canonical.ts';
import type { OutTable } from './out-tables.ts';
import { type PayloadName, PAYLOAD_TYPES } from './payload-types.ts';
import { payloadsMessage, type WrittenPayload } from './payloads-message.ts';
import type { StreamEncoder } from './stream-types.ts';
import { type EncoderStream, TableEncoder } from './table-encoder.ts';
import { logsTables } from './write-logs.ts';
import { metricsTables } from './write-metrics.ts';
import { spansTables } from './write-spans.ts';

export interface StreamEncoderOptions {
  /** Sends attributes of metrics (OTLP's metadata). Upstream's receiver refuses whole batches for them, so they are left out else. */
  readonly hasMetricAttrs?: boolean;
}

/** An encoder for a new stream of `signal`. */
export function createStreamEncoder(signal: Signal, options: StreamEncoderOptions = {}): StreamEncoder {
  const stream: EncoderStream = { output: new ByteOutput(), stateBytes: 0, schemaIdNext: 0 };
  const tables = new Map<PayloadName, TableEncoder>();
  return {
    signal,
    get stateBytes() {
      return stream.stateBytes;
    },
    encode(batch, batchId) {
      const outTables = tablesOf(batch, options);
      try {
        return encodeTables(stream, tables, outTables, batchId);
      } catch (error) {
        // What the receiver was to know from this batch it does not: it is told anew with the next one.
        for (const table of tables.values()) table.restart();
        throw error;
      }
    },
  };
}

function encodeTables(
  stream: EncoderStream,
  encoders: Map<PayloadName, TableEncoder>,
  tables: readonly OutTable[],
  batchId: bigint,
): Uint8Array {
  stream.output.reset();
  const payloads: WrittenPayload[] = [];
  for (const [index, { name, rowCount, columns }] of tables.entries()) {
    // The root comes first and may be empty: a batch has one.
    if (rowCount === 0 && index > 0) continue;
    const encoder = encoders.get(name) ?? new TableEncoder(stream);
    encoders.set(name, encoder);
    const start = stream.output.end;
    const schemaId = encoder.encode(columns(), rowCount);
    payloads.push({ type: PAYLOAD_TYPES[name], schemaId, start, end: stream.output.end });
  }
  return payloadsMessage(stream.output, payloads, batchId);
}

function tablesOf(batch: CanonicalBatch, { hasMetricAttrs = false }: StreamEncoderOptions): OutTable[] {
  switch (batch.signal) {
    case 'logs':
      return logsTables(batch);
    case 'traces':
      return spansTables(batch);
    case 'metrics':
      return metricsTables(batch, hasMetricAttrs);
  }
}
