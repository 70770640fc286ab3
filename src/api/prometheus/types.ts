/** What the Prometheus API asks of its thread, and what the main thread and the thread say to each other. Every message is plain data. */
import type { SerializedError } from '../../base/index.ts';
import type { SqlRequest } from '../../materialize/index.ts';
import type { EvaluationSettings } from '../query/promql/evaluation.ts';
import type { ParseOptions } from '../query/promql/parse-options.ts';
import type { ViewSettings } from '../query/prometheus/view-settings.ts';

/** How stored metrics look, which PromQL is understood, and what a query may cost. */
export interface PrometheusSettings {
  readonly view: ViewSettings;
  readonly evaluation: Omit<EvaluationSettings, 'typeAndUnitLabels' | 'lookbackMs'>;
  readonly syntax: ParseOptions;
  readonly queryTimeoutMs: number;
}

/** A request whose parameters are read, but for what is PromQL. Times are Unix milliseconds, as numbers that may be far out. */
export type PrometheusRequest =
  | QueryRequest
  | { readonly kind: 'format' | 'parse'; readonly query: string }
  | { readonly kind: 'exemplars'; readonly query: string; readonly fromMs: number; readonly untilMs: number }
  | SeriesRequest
  | {
      readonly kind: 'metadata';
      readonly metric: string | undefined;
      readonly metricsMax: number;
      readonly perMetricMax: number;
    }
  | { readonly kind: 'cardinality'; readonly limit: number }
  /** Reads selectors and answers `data`, which is JSON. */
  | {
      readonly kind: 'check';
      readonly matchers: readonly string[];
      readonly parameter: string | undefined;
      readonly data: string;
    };

export interface QueryRequest {
  readonly kind: 'query';
  readonly query: string;
  readonly startMs: number;
  readonly endMs: number;
  /** 0 for an instant query. */
  readonly stepMs: number;
  /** From its arrival. */
  readonly timeoutMs: number;
  /** Null: as set. */
  readonly lookbackMs: number | null;
  /** Series at most; 0: all. */
  readonly limit: number;
  /** As asked for; empty: none. */
  readonly stats: string;
}

export interface SeriesRequest {
  readonly kind: 'series' | 'labels' | 'values';
  /** Of `values`: the name of the label. */
  readonly name: string;
  readonly matchers: readonly string[];
  readonly fromMs: number;
  readonly untilMs: number;
  /** 0: all. */
  readonly limit: number;
}

/** Prometheus' types of errors. */
export type FailureType = 'bad_data' | 'execution' | 'timeout' | 'canceled' | 'unavailable' | 'internal' | 'not_found';

export interface Failure {
  readonly type: FailureType;
  readonly message: string;
}

/** `workerData` of the thread. */
export interface PrometheusWorkerData {
  readonly settings: PrometheusSettings;
  readonly limits: ThreadLimits;
  /** Two 32-bit integers that the thread keeps: requests being worked on, and waiting. */
  readonly load: SharedArrayBuffer;
  /** Where the engine counts changes of its tables, null: nowhere. */
  readonly tableChanges: SharedArrayBuffer | null;
}

/** Those of `LIMITS` that tests make small. */
export interface ThreadLimits {
  readonly concurrencyMax: number;
  readonly queueMax: number;
  readonly bufferedBytesMax: number;
  readonly bufferedTotalBytesMax: number;
  readonly heldBytesMax: number;
  readonly unreadMaxMs: number;
}

/** To the thread. `id` names a call, or (`store-`) what the thread asked the store; never used again. */
export type PrometheusCommand =
  | { readonly type: 'call'; readonly id: number; readonly request: PrometheusRequest }
  /** The client took this many bytes. */
  | { readonly type: 'credit'; readonly id: number; readonly bytes: number }
  | { readonly type: 'cancel'; readonly id: number }
  /** Before the first chunk: what the tables of metrics lack, null: nothing. */
  | { readonly type: 'store-lacks'; readonly id: number; readonly lacking: string | null }
  | { readonly type: 'store-chunk'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly type: 'store-end'; readonly id: number }
  | { readonly type: 'store-error'; readonly id: number; readonly error: SerializedError };

/** From the thread. */
export type PrometheusEvent =
  /** A part of the answer's JSON. */
  | { readonly type: 'chunk'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly id: number }
  /** In place of an answer, or on its way. `detail` is for the log alone. */
  | { readonly type: 'failure'; readonly id: number; readonly failure: Failure; readonly detail?: string }
  | { readonly type: 'store-ask'; readonly id: number; readonly request: SqlRequest }
  | { readonly type: 'store-credit'; readonly id: number; readonly bytes: number }
  | { readonly type: 'store-cancel'; readonly id: number };

/** What comes back for the thread's questions to the store. */
export type StoreReply = Extract<PrometheusCommand, { type: `store-${string}` }>;
/** What the thread says about its questions. */
export type StoreQuestion = Extract<PrometheusEvent, { type: `store-${string}` }>;
