/**
 * The three Arrow services: hands every call to an `ArrowStream` and keeps what the streams share.
 *
 * Streams past `streamsMax` are accepted all the same and answer each batch UNAVAILABLE: an exporter whose stream is refused at
 * opening may wedge or fall back to OTLP for good. When a place becomes free, the oldest of them is ended with OK, so that its
 * exporter opens a new one, which gets the place.
 */
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { type Logger, type Signal, SIGNALS } from '../../base/index.ts';
import type { Log } from '../../log/index.ts';
import type { Admission } from '../admission.ts';
import { type ArrowCall, ArrowStream } from './arrow-stream.ts';
import { rawMethod } from './raw-method.ts';
import { type BatchCounts, type GrpcLimits, STREAM_ENDS, type StreamEnd } from './receiver-context.ts';

const PACKAGE = 'opentelemetry.proto.experimental.arrow.v1';

/** Full names of the Arrow services. */
export const ARROW_SERVICES = {
  logs: `${PACKAGE}.ArrowLogsService`,
  traces: `${PACKAGE}.ArrowTracesService`,
  metrics: `${PACKAGE}.ArrowMetricsService`,
} as const satisfies Record<Signal, string>;

const METHODS = { logs: 'ArrowLogs', traces: 'ArrowTraces', metrics: 'ArrowMetrics' } as const;

/** Figures of the Arrow services; totals count from the start. */
export interface ArrowReceiverStatus {
  readonly streamsOpen: number;
  /** Of the open ones: over the limit, answering UNAVAILABLE. */
  readonly streamsExcess: number;
  /** Of the open ones: not read from until bytes in flight are durable. */
  readonly streamsHeld: number;
  /** Of the open ones: not read from until their client takes its statuses. */
  readonly streamsStalled: number;
  readonly streamsOpened: number;
  readonly streamsEnded: Readonly<Record<StreamEnd, number>>;
  readonly batches: Readonly<Record<Signal, Readonly<BatchCounts>>>;
  /** Over all that is received, OTLP included. */
  readonly inFlightBytes: number;
  readonly streamStateBytes: number;
}

/** What the server does with the Arrow services. */
export interface ArrowReceiver {
  /** One service per signal, for `Server.addService`. */
  readonly services: readonly { definition: ServiceDefinition; implementation: UntypedServiceImplementation }[];
  status(): ArrowReceiverStatus;
  /** Ends all streams, and those that still open, with OK behind their last status. Settles when none is left. */
  drain(): Promise<void>;
}

export interface ArrowReceiverOptions {
  readonly log: Log;
  readonly logger: Logger;
  readonly limits: GrpcLimits;
  readonly admission: Admission;
}

/** Makes the receiver that appends to `log`. */
export function createArrowReceiver(options: ArrowReceiverOptions): ArrowReceiver {
  const { log, logger, limits, admission } = options;
  const streams = new Set<ArrowStream>();
  const counts = bySignal((): BatchCounts => ({ accepted: 0, unavailable: 0, malformed: 0, messageBytes: 0 }));
  const streamsEnded = Object.fromEntries(STREAM_ENDS.map((end) => [end, 0])) as Record<StreamEnd, number>;
  const drained: (() => void)[] = [];
  let isDraining = false;
  let streamsOpened = 0;
  let streamsExcess = 0;
  let streamStateBytes = 0;

  const context = {
    log,
    logger,
    limits,
    admission,
    counts,
    stateGrew(_stream: ArrowStream, bytes: number): void {
      streamStateBytes += bytes;
      if (streamStateBytes > limits.streamStatesBytesMax) endLargest(streams, limits.streamStatesBytesMax);
    },
    streamOver(stream: ArrowStream, end: StreamEnd): void {
      streams.delete(stream);
      streamsEnded[end]++;
      if (stream.isExcess) streamsExcess--;
      else if (streamsExcess > 0) oldestExcess(streams)?.end('capacity');
      if (streams.size === 0) for (const settle of drained.splice(0)) settle();
    },
  };

  function open(call: ArrowCall, signal: Signal): void {
    const isExcess = streams.size - streamsExcess >= limits.streamsMax;
    streamsOpened++;
    if (isExcess) streamsExcess++;
    const stream = new ArrowStream(call, signal, isExcess, context);
    streams.add(stream);
    if (isDraining) stream.end('shutdown');
  }

  return {
    services: SIGNALS.map((signal) => ({
      definition: { [METHODS[signal]]: rawMethod(ARROW_SERVICES[signal], METHODS[signal], 'bidi') },
      implementation: { [METHODS[signal]]: (call: ArrowCall) => open(call, signal) },
    })),
    status: () => ({
      streamsOpen: streams.size,
      streamsExcess,
      streamsHeld: [...streams].filter((stream) => stream.isHeld).length,
      streamsStalled: [...streams].filter((stream) => stream.isStalled).length,
      streamsOpened,
      streamsEnded: { ...streamsEnded },
      batches: bySignal((signal) => ({ ...counts[signal] })),
      inFlightBytes: admission.inFlightBytes,
      streamStateBytes,
    }),
    drain() {
      isDraining = true;
      for (const stream of streams) stream.end('shutdown');
      return streams.size === 0 ? Promise.resolve() : new Promise((resolve) => drained.push(resolve));
    },
  };
}

/** Ends the stream with the most state, if those that go on hold more than `bytesMax` together. */
function endLargest(streams: ReadonlySet<ArrowStream>, bytesMax: number): void {
  const going = [...streams].filter((stream) => !stream.isEnding);
  const bytes = going.reduce((sum, stream) => sum + stream.stateBytes, 0);
  if (bytes <= bytesMax) return;
  going.reduce((largest, stream) => (stream.stateBytes > largest.stateBytes ? stream : largest)).end('state');
}

function oldestExcess(streams: ReadonlySet<ArrowStream>): ArrowStream | undefined {
  for (const stream of streams) if (stream.isExcess && !stream.isEnding) return stream;
  return undefined;
}

function bySignal<T>(make: (signal: Signal) => T): Record<Signal, T> {
  return { logs: make('logs'), traces: make('traces'), metrics: make('metrics') };
}
