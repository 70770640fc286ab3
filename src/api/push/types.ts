/** What an exporter is, to its manager in the main thread, to the worker that drives it and to the API. */
import type { Signal } from '../../base/index.ts';
import type { DurablePosition, HoldPolicy } from '../../log/index.ts';

/** `otap` and `otlp-grpc`: `http://HOST:PORT` or `https://…`; `otlp-http`: base URL, `/v1/<signal>` is added; `parquet`: a folder. */
export const EXPORTER_PROTOCOLS = ['otap', 'otlp-grpc', 'otlp-http', 'parquet'] as const;
export type ExporterProtocol = (typeof EXPORTER_PROTOCOLS)[number];

export const EXPORTER_COMPRESSIONS = ['zstd', 'gzip', 'none'] as const;
export type ExporterCompression = (typeof EXPORTER_COMPRESSIONS)[number];

/** Rows that are sent: those for which all that is given holds. */
export interface ExporterFilter {
  /** Default: all. */
  readonly signals?: readonly Signal[];
  /** Resource attributes, compared with the value's text. */
  readonly resource?: Readonly<Record<string, string>>;
  /** Attributes of the record, span or data point, compared with the value's text. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** How a target behind `https://` is known, and how it knows us. Files are PEM, absolute paths, and read again for every connection. */
export interface ExporterTls {
  /** Who signs the target's certificate. Default: the authorities that Node.js comes with. */
  readonly caFile?: string;
  /** Our certificate and its key, for targets that ask for one; both or none. */
  readonly certFile?: string;
  readonly keyFile?: string;
  /** The name that the target's certificate must have, instead of the host of the endpoint. */
  readonly serverName?: string;
  /** Takes any certificate. */
  readonly skipVerify?: boolean;
}

/** As configured: by flag, file or API. Stored as JSON in `exporters/<name>.json`. */
export interface ExporterConfig {
  /** `[a-z0-9][a-z0-9_-]{0,62}`: also the name of its cursor. */
  readonly name: string;
  readonly protocol: ExporterProtocol;
  readonly endpoint: string;
  /** Default zstd (none for parquet). */
  readonly compression?: ExporterCompression;
  /** Sent with every request or stream; values are never logged or shown. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly filter?: ExporterFilter;
  readonly tls?: ExporterTls;
  /**
   * Requests of one stream of the source under way at a time, 1 to 16; default 1. Above it, what a target puts off arrives behind what
   * followed it.
   */
  readonly inFlight?: number;
  /** What retention does with entries not yet sent; default `drop`. */
  readonly retention?: HoldPolicy;
}

/** Why an exporter does not get on. */
export type ExporterState = 'running' | 'idle' | 'paused' | 'retrying' | 'failed';

/** What the worker tells of an exporter, at intervals and when its state changes. Counts since the worker started it. */
export interface ExporterProgress {
  readonly name: string;
  readonly state: ExporterState;
  /** Everything below is acknowledged, set aside or filtered out. */
  readonly ackedOffset: bigint;
  /** Entries read so far. */
  readonly readOffset: bigint;
  readonly sentBatches: number;
  /** Records, spans and data points acknowledged. */
  readonly sentItems: number;
  readonly sentBytes: number;
  /** Tries that were answered with a retryable error or not at all. */
  readonly retries: number;
  /** Batches that go out again, after a stop too, although a try may have arrived: no more can come twice. */
  readonly resentBatches: number;
  readonly filteredItems: number;
  /** Records, spans and data points that the target left out of batches that it took (partial success). */
  readonly rejectedItems?: number;
  /** Attributes, events, links, points and exemplars left out of OTLP requests, since the row that they belong to is missing. */
  readonly orphanRows?: number;
  /** Entries given up: undecodable here, or refused by the target after bounded tries. */
  readonly setAsideEntries: number;
  /** Entries that retention had deleted before they were sent. */
  readonly lostEntries: bigint;
  /** The protocol that is used instead of the one asked for, and why. Not there while it is that one. */
  readonly fallback?: string;
  /** The last error, or null once something was acknowledged after it. Never holds header values. */
  readonly error: string | null;
}

/** An entry given up, as appended to `exporters/<name>.set-aside.jsonl`. */
export interface SetAsideEntry {
  readonly offset: bigint;
  readonly reason: string;
  readonly atUnixMs: number;
}

/** Main thread to worker. */
export type PushCommand =
  | {
      readonly type: 'start';
      readonly config: ExporterConfig;
      readonly from: bigint;
      readonly durable: DurablePosition;
    }
  | { readonly type: 'advance'; readonly durable: DurablePosition }
  /** Ends the exporter's connections; answered by `stopped`. */
  | { readonly type: 'stop'; readonly name: string }
  /** Ends the worker when all are stopped. */
  | { readonly type: 'end' };

/** Worker to main thread. The manager makes `ackedOffset` durable; the worker never waits for that. */
export type PushEvent =
  | { readonly type: 'progress'; readonly progress: ExporterProgress }
  | { readonly type: 'set-aside'; readonly name: string; readonly entries: readonly SetAsideEntry[] }
  | { readonly type: 'stopped'; readonly name: string; readonly progress: ExporterProgress };

/** The thread that drives exporters, as its manager has it. */
export interface PushWorker {
  /** Never throws: what is sent to a thread that has ended is lost. */
  send(command: PushCommand): void;
  /** Settles when the thread has ended: null after `end` or `terminate`, else why. Never rejects. */
  readonly ended: Promise<Error | null>;
  /** Ends the thread at once, whatever it does. */
  terminate(): void;
}
