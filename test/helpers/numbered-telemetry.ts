/** Telemetry whose records are known one by one: each has a number, so that `arrivals.ts` can count how often it came where. */
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { type Signal, SIGNAL_CODES, SIGNALS } from '../../src/base/index.ts';
import { ENTRY_FLAGS, type Log, openLog } from '../../src/log/index.ts';
import { createStreamInspector, decodeOtlp, initZstd } from '../../src/otap/index.ts';
import { createStreamEncoder } from '../../src/otap/stream-encoder.ts';
import { ExportLogsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { ExportMetricsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { ExportTraceServiceRequestSchema } from '../gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js';

export interface NumberedLog {
  /** By the number of a record: the offset of its entry. */
  readonly offsets: readonly bigint[];
  /** By the number of a record: what it keeps its order in, a stream, or the OTLP requests of a signal. */
  readonly lanes: readonly number[];
  readonly durableOffset: bigint;
}

export interface NumberedLogOptions {
  /** OTAP streams of each signal. */
  readonly streams: number;
  /** Batches of each stream. */
  readonly batches: number;
  /** OTLP requests of each signal. */
  readonly requests: number;
  /** Records of a batch or request. */
  readonly records: number;
}

/** Writes the log of a data directory that no server has: streams and requests of all signals side by side. */
export async function writeNumberedLog(data: string, options: NumberedLogOptions): Promise<NumberedLog> {
  await initZstd();
  const log = await openLog({ directory: join(data, 'log') });
  const offsets: bigint[] = [];
  const lanes: number[] = [];
  let laneNext = 0;
  const numbersOf = (lane: number): number[] =>
    Array.from({ length: options.records }, () => {
      lanes.push(lane);
      return offsets.push(-1n) - 1;
    });
  const note = (records: readonly number[], offset: bigint): void => {
    for (const record of records) offsets[record] = offset;
  };
  const streamsOf = (signal: Signal) =>
    Array.from({ length: options.streams }, () => {
      const lane = laneNext++;
      return appendStream(log, signal, { ...options, numbers: () => numbersOf(lane), note });
    });
  const requestsOf = async (signal: Signal): Promise<void> => {
    const lane = laneNext++;
    for (let i = 0; i < options.requests; i++) {
      const records = numbersOf(lane);
      const headers = new Map([['content-type', 'application/x-protobuf']]);
      const record = [numberedRequest(signal, records)];
      note(records, (await log.appendOtlp(SIGNAL_CODES[signal], { batchId: 0n, record, headers })).offset);
    }
  };
  await Promise.all(SIGNALS.flatMap((signal) => [...streamsOf(signal), requestsOf(signal)]));
  await log.close();
  const again = await openLog({ directory: join(data, 'log') });
  const { durableOffset } = again.status();
  await again.close();
  return { offsets, lanes, durableOffset };
}

interface Numbering {
  readonly batches: number;
  numbers(): number[];
  note(records: readonly number[], offset: bigint): void;
}

async function appendStream(log: Log, signal: Signal, { batches, numbers, note }: Numbering): Promise<void> {
  const encoder = createStreamEncoder(signal);
  const inspector = createStreamInspector(signal);
  const stream = log.openStream(SIGNAL_CODES[signal]);
  for (let i = 0; i < batches; i++) {
    const records = numbers();
    const batch = decodeOtlp(signal, numberedRequest(signal, records), 'application/x-protobuf');
    const { batchId, record, headers, stateMessages } = inspector.inspect(encoder.encode(batch, BigInt(i)));
    const flags = stateMessages.length > 0 ? ENTRY_FLAGS.HAS_SCHEMA | ENTRY_FLAGS.HAS_DICTIONARY : 0;
    note(records, (await stream.append({ batchId, record, headers, flags, stateUpdates: stateMessages })).offset);
  }
  stream.close();
}

/** An OTLP request (protobuf) of records with these numbers: bodies of logs, names of spans, values of gauges. */
export function numberedRequest(
  signal: Signal,
  records: readonly number[],
  timeUnixNano = 1_760_000_000_000_000_000n,
): Uint8Array {
  const attributesOf = (number: number) => [
    { key: 'group', value: { value: { case: 'stringValue' as const, value: `group ${number % 97}` } } },
    { key: 'number', value: { value: { case: 'intValue' as const, value: BigInt(number) } } },
  ];
  switch (signal) {
    case 'logs': {
      const logRecords = records.map((number) => ({
        timeUnixNano,
        body: { value: { case: 'stringValue' as const, value: String(number) } },
        attributes: attributesOf(number),
      }));
      const message = create(ExportLogsServiceRequestSchema, { resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
      return toBinary(ExportLogsServiceRequestSchema, message);
    }
    case 'traces': {
      const spans = records.map((number) => ({
        name: String(number),
        traceId: new Uint8Array(16).fill(1 + (number % 255)),
        spanId: new Uint8Array(8).fill(1 + (number % 255)),
        startTimeUnixNano: timeUnixNano,
        endTimeUnixNano: timeUnixNano + 1n,
        attributes: attributesOf(number),
      }));
      const message = create(ExportTraceServiceRequestSchema, { resourceSpans: [{ scopeSpans: [{ spans }] }] });
      return toBinary(ExportTraceServiceRequestSchema, message);
    }
    case 'metrics': {
      const dataPoints = records.map((number) => ({
        timeUnixNano,
        value: { case: 'asInt' as const, value: BigInt(number) },
        attributes: attributesOf(number).slice(0, 1),
      }));
      const metrics = [{ name: 'numbered', data: { case: 'gauge' as const, value: { dataPoints } } }];
      const message = create(ExportMetricsServiceRequestSchema, { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] });
      return toBinary(ExportMetricsServiceRequestSchema, message);
    }
  }
}
