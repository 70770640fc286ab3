/**
 * The OpenTelemetry SDK for JavaScript as programs use it: its providers, batch processors, periodic reader and OTLP exporters,
 * nothing set but the server, the compression and the timeout. What each export carried and how it ended is kept.
 */
import { DiagLogLevel, diag } from '@opentelemetry/api';
import { OTLPLogExporter as GrpcLogExporter } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPLogExporter as JsonLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as ProtoLogExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPMetricExporter as GrpcMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { OTLPMetricExporter as JsonMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as ProtoMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter as GrpcTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as JsonTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtoTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base';
import type { Resource } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider, type ReadableLogRecord } from '@opentelemetry/sdk-logs';
import {
  MeterProvider,
  PeriodicExportingMetricReader,
  type ResourceMetrics,
  type ViewOptions,
} from '@opentelemetry/sdk-metrics';
import {
  BatchSpanProcessor,
  type ReadableSpan,
  type TracerProviderOptions,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

const EXPORTERS = {
  grpc: { trace: GrpcTraceExporter, log: GrpcLogExporter, metric: GrpcMetricExporter },
  'http/protobuf': { trace: ProtoTraceExporter, log: ProtoLogExporter, metric: ProtoMetricExporter },
  'http/json': { trace: JsonTraceExporter, log: JsonLogExporter, metric: JsonMetricExporter },
} as const;

/** Named as in OTEL_EXPORTER_OTLP_PROTOCOL. */
export type SdkProtocol = keyof typeof EXPORTERS;

export const SDK_PROTOCOLS = Object.keys(EXPORTERS) as readonly SdkProtocol[];

/** Longer than all retries of the SDK together, so that it ends by their number and not by the clock. */
const EXPORT_TIMEOUT_MS = 60_000;

/** One call of an exporter; `error` is null when the SDK took it as a success. */
export interface SdkExport<Item> {
  readonly item: Item;
  readonly error: Error | null;
}

export interface Sdk {
  readonly tracers: TracerProvider;
  readonly loggers: LoggerProvider;
  readonly meters: MeterProvider;
  readonly exports: {
    readonly spans: SdkExport<ReadableSpan[]>[];
    readonly logs: SdkExport<ReadableLogRecord[]>[];
    readonly metrics: SdkExport<ResourceMetrics>[];
  };
  /** Resolves when all that was recorded went through an exporter, well or not. */
  flush(): Promise<void>;
  stop(): Promise<void>;
}

export interface SdkOptions {
  readonly protocol: SdkProtocol;
  readonly compression: 'gzip' | 'none';
  readonly server: { readonly grpc: string; readonly otlpHttp: string };
  readonly resource: Resource;
  readonly views?: ViewOptions[];
  readonly spanLimits?: NonNullable<TracerProviderOptions['spanLimits']>;
}

export function startSdk(options: SdkOptions): Sdk {
  const { protocol, server, resource } = options;
  const exporters = EXPORTERS[protocol];
  const settings = (path: string) => ({
    url: protocol === 'grpc' ? `http://${server.grpc}` : `http://${server.otlpHttp}/v1/${path}`,
    compression: options.compression === 'gzip' ? CompressionAlgorithm.GZIP : CompressionAlgorithm.NONE,
    timeoutMillis: EXPORT_TIMEOUT_MS,
  });
  const exportTimeoutMillis = EXPORT_TIMEOUT_MS;
  const spans = kept<ReadableSpan[], InstanceType<typeof exporters.trace>>(new exporters.trace(settings('traces')));
  const logs = kept<ReadableLogRecord[], InstanceType<typeof exporters.log>>(new exporters.log(settings('logs')));
  const metrics = kept<ResourceMetrics, InstanceType<typeof exporters.metric>>(
    new exporters.metric(settings('metrics')),
  );
  const tracers = new TracerProvider({
    resource,
    spanProcessors: [new BatchSpanProcessor({ exporter: spans.exporter, exportTimeoutMillis })],
    ...(options.spanLimits === undefined ? {} : { spanLimits: options.spanLimits }),
  });
  const loggers = new LoggerProvider({
    resource,
    processors: [new BatchLogRecordProcessor({ exporter: logs.exporter, exportTimeoutMillis })],
  });
  const meters = new MeterProvider({
    resource,
    readers: [
      new PeriodicExportingMetricReader({
        exporter: metrics.exporter,
        exportIntervalMillis: EXPORT_TIMEOUT_MS,
        exportTimeoutMillis,
      }),
    ],
    ...(options.views === undefined ? {} : { views: options.views }),
  });
  // Some of them reject when an export failed, some report it elsewhere: `exports` has it of all.
  const all = async (did: Promise<void>[]) => void (await Promise.allSettled(did));
  return {
    tracers,
    loggers,
    meters,
    exports: { spans: spans.exports, logs: logs.exports, metrics: metrics.exports },
    flush: () => all([tracers.forceFlush(), loggers.forceFlush(), meters.forceFlush()]),
    stop: () => all([tracers.shutdown(), loggers.shutdown(), meters.shutdown()]),
  };
}

/** Collects what the SDK says to its operator, in this process; `lines` are its warnings and errors, `retries` those it announced. */
export function listenToSdk(): { readonly warnings: string[]; readonly retries: string[]; end(): void } {
  const warnings: string[] = [];
  const retries: string[] = [];
  const warn = (...words: unknown[]) => void warnings.push(words.map(String).join(' '));
  const note = (...words: unknown[]) => {
    const line = words.map(String).join(' ');
    if (line.includes('Scheduling export retry')) retries.push(line);
  };
  const logger = { error: warn, warn, info: note, debug: note, verbose: note };
  diag.setLogger(logger, { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true });
  return { warnings, retries, end: () => diag.disable() };
}

interface Exporter<Item> {
  export(item: Item, done: (result: { code: number; error?: Error }) => void): void;
}

function kept<Item, Kind extends Exporter<Item>>(exporter: Kind): { exporter: Kind; exports: SdkExport<Item>[] } {
  const exports: SdkExport<Item>[] = [];
  const send = exporter.export.bind(exporter);
  exporter.export = (item, done) =>
    send(item, (result) => {
      exports.push({ item, error: result.code === 0 ? null : (result.error ?? new Error('Export failed')) });
      done(result);
    });
  return { exporter, exports };
}
