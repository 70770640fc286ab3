/** The one table of options. Flags, environment variables, `--help` and docs/configuration.md come from it. */
import {
  ENTRY_TABLES,
  type EntryTable,
  HISTOGRAM_FORMS,
  LIMITS,
  type LogLevel,
  PROMETHEUS_FEATURES,
  type PrometheusFeature,
  PROMOTED_RESOURCE_ATTRIBUTES,
  type Signal,
  SIGNALS,
  TRANSLATION_STRATEGIES,
} from './base/index.ts';
import type { CommandName } from './config-commands.ts';
import { type NamedExport, namedExport, redactedExport } from './export-url.ts';
import {
  integer,
  type ListenAddress,
  listenAddress,
  httpUrl,
  nameList,
  nonEmpty,
  oneOf,
  PULL_FORMATS,
  type PullFormat,
  type PullStart,
  pullStart,
  webOrigins,
  wholeOffset,
} from './option-values.ts';
import { durationMs, sizeBytes } from './quantities.ts';

/** Values of all options by name, parsed. */
export interface Config {
  readonly data: string;
  readonly grpc: ListenAddress;
  readonly otlpHttp: ListenAddress;
  /** Whose pages in browsers may send OTLP. */
  readonly otlpCorsOrigins: readonly string[];
  readonly http: ListenAddress;
  /** `off`: the log takes everything and nothing becomes rows. */
  readonly materialize: 'on' | 'off';
  /** Null: entries of the log do not grow too old. */
  readonly retentionAgeMs: number | null;
  /** Null: what the log has and a part of the free space at start. */
  readonly retentionBytes: number | null;
  /** Null: rows of the tables do not grow too old. */
  readonly tablesRetentionAgeMs: number | null;
  readonly memoryLimitMb: number;
  readonly threads: number;
  readonly sqlTimeoutMs: number;
  readonly sqlRowsMax: number;
  readonly prometheusCorsOrigins: readonly string[];
  readonly prometheusTranslation: (typeof TRANSLATION_STRATEGIES)[number];
  readonly prometheusHistograms: (typeof HISTOGRAM_FORMS)[number];
  /** Keys of resource attributes that are labels of every series. */
  readonly promoteResourceAttributes: readonly string[];
  readonly promqlLookbackMs: number;
  readonly promqlSamplesMax: number;
  readonly promqlTimeoutMs: number;
  readonly enableFeature: readonly PrometheusFeature[];
  /** Exporters that are there from the start. */
  readonly exports: readonly NamedExport[];
  readonly logLevel: LogLevel;
  readonly logFormat: 'auto' | 'text' | 'json';
  readonly server: string;
  /** Null: the data directory itself. */
  readonly liveServer: string | null;
  readonly format: 'table' | 'json' | 'csv' | 'ndjson' | 'arrow';
  /** Null: the first entry. */
  readonly offset: bigint | null;
  /** Null: all entries, or one where the entry alone is written. */
  readonly limit: number | null;
  readonly decoded: boolean;
  /** Null: all rows of the entry, or none. */
  readonly row: number | null;
  /** Null: all tables of the entry. */
  readonly table: EntryTable | null;
  readonly raw: boolean;
  /** Null: where the folder ends, or the first entry. */
  readonly from: PullStart | null;
  readonly follow: boolean;
  /** Null: all. */
  readonly signal: Signal | null;
  /** Null: not said, which `pull` refuses. */
  readonly to: PullFormat | null;
  /** Null: all. */
  readonly projection: string | null;
}

/** One option. */
export interface OptionSpec {
  /** Also the key in Config, in camel case. */
  readonly flag: string;
  readonly key: keyof Config;
  /** Empty: a flag without a value, which means `on`. */
  readonly placeholder: string;
  readonly default: string;
  readonly description: string;
  readonly commands: readonly CommandName[];
  /** May be given any number of times; its variable holds values between spaces. `none` is the default. */
  readonly isList?: true;
  /** Throws an Error that says what is allowed. Of a list: one value. */
  readonly parse: (text: string) => Config[keyof Config] | NamedExport;
  /** A value as messages may show it. Without it all of it. */
  readonly shown?: (text: string) => string;
}

/** Two of the smallest segments, and room to choose between them. */
const RETENTION_BYTES_MIN = 32_000_000;

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
const LOG_FORMATS = ['auto', 'text', 'json'] as const;
const SWITCH = ['on', 'off'] as const;
const FORMATS = ['table', 'json', 'csv', 'ndjson', 'arrow'] as const;

/** All options. */
export const OPTIONS: readonly OptionSpec[] = [
  {
    flag: 'data',
    key: 'data',
    placeholder: 'DIR',
    default: './treasury-data',
    description: 'Data directory: the log, its index and the tables.',
    commands: ['serve', 'log', 'rebuild'],
    parse: nonEmpty,
  },
  {
    flag: 'grpc',
    key: 'grpc',
    placeholder: 'HOST:PORT',
    default: '127.0.0.1:4317',
    description: 'Where OTAP and OTLP over gRPC are taken. Port 0 takes a free one.',
    commands: ['serve'],
    parse: listenAddress,
  },
  {
    flag: 'otlp-http',
    key: 'otlpHttp',
    placeholder: 'HOST:PORT',
    default: '127.0.0.1:4318',
    description: 'Where OTLP over HTTP is taken.',
    commands: ['serve'],
    parse: listenAddress,
  },
  {
    flag: 'otlp-cors-origins',
    key: 'otlpCorsOrigins',
    placeholder: 'ORIGINS',
    default: 'none',
    description:
      'Web pages that may send OTLP over HTTP: origins, separated by commas, with * for any part of a host (https://*.example.com), or * for all.',
    commands: ['serve'],
    parse: webOrigins,
  },
  {
    flag: 'http',
    key: 'http',
    placeholder: 'HOST:PORT',
    default: '127.0.0.1:4319',
    description: 'Where everything that reads is served: SQL, status, metrics, health.',
    commands: ['serve'],
    parse: listenAddress,
  },
  {
    flag: 'materialize',
    key: 'materialize',
    placeholder: 'on|off',
    default: 'on',
    description:
      'off: collect only. The log takes everything, the tables stay as they are and catch up at the next start with on.',
    commands: ['serve'],
    parse: oneOf(SWITCH),
  },
  {
    flag: 'retention-age',
    key: 'retentionAgeMs',
    placeholder: 'DURATION',
    default: 'none',
    description: 'How long the log keeps entries, such as 7d, 12h or 90m. Whole segments go; tables keep their rows.',
    commands: ['serve'],
    parse: (text) => (text === 'none' ? null : durationMs(text)),
  },
  {
    flag: 'retention-bytes',
    key: 'retentionBytes',
    placeholder: 'SIZE',
    default: 'auto',
    description: `What the log may take on the disk, such as 50GB or 500MB. auto: what it has and ${LIMITS.logGrowthPercentMax} % of the free space at start.`,
    commands: ['serve'],
    parse: (text) => (text === 'auto' ? null : sizeBytes(text, RETENTION_BYTES_MIN)),
  },
  {
    flag: 'tables-retention-age',
    key: 'tablesRetentionAgeMs',
    placeholder: 'DURATION',
    default: 'none',
    description:
      'How long the tables keep rows, by the time of the row, such as 7d, 12h or 90m. The log keeps its entries.',
    commands: ['serve'],
    parse: (text) => (text === 'none' ? null : durationMs(text)),
  },
  {
    flag: 'memory-limit',
    key: 'memoryLimitMb',
    placeholder: 'MB',
    default: '256',
    description:
      "DuckDB's memory limit in megabytes, most of it a cache of what is on disk. The process takes up to about 450 MB more under load.",
    commands: ['serve', 'rebuild', 'pull'],
    parse: integer(64, 1_048_576),
  },
  {
    flag: 'threads',
    key: 'threads',
    placeholder: 'COUNT',
    default: '2',
    description: "DuckDB's threads.",
    commands: ['serve', 'rebuild', 'pull'],
    parse: integer(1, 256),
  },
  {
    flag: 'sql-timeout',
    key: 'sqlTimeoutMs',
    placeholder: 'MS',
    default: String(LIMITS.sqlTimeoutMs),
    description: 'Milliseconds after which a SQL query is stopped.',
    commands: ['serve'],
    parse: integer(1, 86_400_000),
  },
  {
    flag: 'sql-rows',
    key: 'sqlRowsMax',
    placeholder: 'ROWS',
    default: String(LIMITS.sqlRowsMax),
    description: 'Rows of an answer to SQL; an answer that is cut there says so.',
    commands: ['serve'],
    parse: integer(1, 1_000_000_000),
  },
  {
    flag: 'prometheus-cors-origins',
    key: 'prometheusCorsOrigins',
    placeholder: 'ORIGINS',
    default: 'none',
    description:
      'Web pages that may read the Prometheus API: origins, separated by commas, with * for any part of a host (https://*.example.com), or * for all.',
    commands: ['serve'],
    parse: webOrigins,
  },
  {
    flag: 'prometheus-translation',
    key: 'prometheusTranslation',
    placeholder: 'STRATEGY',
    default: TRANSLATION_STRATEGIES[0],
    description: `What metrics and labels are called in PromQL: ${TRANSLATION_STRATEGIES.join(', ')}. Stored names stay as they are.`,
    commands: ['serve'],
    parse: oneOf(TRANSLATION_STRATEGIES),
  },
  {
    flag: 'prometheus-histograms',
    key: 'prometheusHistograms',
    placeholder: 'FORM',
    default: HISTOGRAM_FORMS[0],
    description:
      'What histograms with explicit bounds are in PromQL: classic (families of _bucket, _sum and _count) or native (with custom buckets, under one name). Exponential ones are native.',
    commands: ['serve'],
    parse: oneOf(HISTOGRAM_FORMS),
  },
  {
    flag: 'promote-resource-attributes',
    key: 'promoteResourceAttributes',
    placeholder: 'KEYS',
    default: PROMOTED_RESOURCE_ATTRIBUTES.join(','),
    description:
      'Resource attributes that are labels of every series in PromQL, separated by commas, or none. target_info has all of them.',
    commands: ['serve'],
    parse: nameList(),
  },
  {
    flag: 'promql-lookback',
    key: 'promqlLookbackMs',
    placeholder: 'DURATION',
    default: `${LIMITS.prometheusLookbackMs / 60_000}m`,
    description: 'How old the newest sample of a series may be for PromQL to take it.',
    commands: ['serve'],
    parse: durationMs,
  },
  {
    flag: 'promql-max-samples',
    key: 'promqlSamplesMax',
    placeholder: 'COUNT',
    default: String(LIMITS.prometheusSamplesMax),
    description: 'Samples that one PromQL query may hold in memory, 16 bytes each; one that needs more fails.',
    commands: ['serve'],
    parse: integer(1, 1_000_000_000),
  },
  {
    flag: 'promql-timeout',
    key: 'promqlTimeoutMs',
    placeholder: 'DURATION',
    default: `${LIMITS.prometheusTimeoutMs / 60_000}m`,
    description: 'Time after which a PromQL query is stopped, up to 24h.',
    commands: ['serve'],
    parse: (text) => durationMs(text, LIMITS.prometheusTimeoutMaxMs),
  },
  {
    flag: 'enable-feature',
    key: 'enableFeature',
    placeholder: 'FEATURES',
    default: 'none',
    description: `Experimental parts of PromQL that are understood, separated by commas, by Prometheus' names: ${PROMETHEUS_FEATURES.join(', ')}.`,
    commands: ['serve'],
    parse: nameList(PROMETHEUS_FEATURES),
  },
  {
    flag: 'export',
    key: 'exports',
    placeholder: 'NAME=URL',
    default: 'none',
    description:
      'Send what is in the log to another receiver, at least once; may be repeated. otap://HOST:PORT, otap+https://, otlp:// and otlps:// (gRPC), otlp+http://, otlp+https://, parquet:DIR; ' +
      'parameters compression, from (start, end, an offset or time; when it is new), retention (drop, hold), signal, resource.KEY, attribute.KEY, header.NAME. ' +
      'It wins over exporters/NAME.json, goes on where it was, and stays when the flag goes.',
    commands: ['serve'],
    isList: true,
    parse: namedExport,
    shown: redactedExport,
  },
  {
    flag: 'log-level',
    key: 'logLevel',
    placeholder: 'LEVEL',
    default: 'info',
    description: `What is logged to stderr: ${LOG_LEVELS.join(', ')}.`,
    commands: ['serve'],
    parse: oneOf(LOG_LEVELS),
  },
  {
    flag: 'log-format',
    key: 'logFormat',
    placeholder: 'FORMAT',
    default: 'auto',
    description: 'text for people, json for machines, auto: text on a terminal, json otherwise.',
    commands: ['serve'],
    parse: oneOf(LOG_FORMATS),
  },
  {
    flag: 'server',
    key: 'server',
    placeholder: 'URL',
    default: 'http://127.0.0.1:4319',
    description: 'Base URL of the server that is asked.',
    commands: ['sql', 'status', 'pull', 'push'],
    parse: httpUrl,
  },
  {
    flag: 'server',
    key: 'liveServer',
    placeholder: 'URL',
    default: 'none',
    description: 'rebuild: base URL of the running server that builds. none: the data directory, which no server uses.',
    commands: ['rebuild'],
    parse: (text) => (text === 'none' ? null : httpUrl(text)),
  },
  {
    flag: 'format',
    key: 'format',
    placeholder: 'FORMAT',
    default: 'table',
    description: `How rows are written: ${FORMATS.join(', ')}. status, log and push know table and json.`,
    commands: ['sql', 'status', 'log', 'push'],
    parse: oneOf(FORMATS),
  },
  {
    flag: 'offset',
    key: 'offset',
    placeholder: 'OFFSET',
    default: 'first',
    description: 'cat: the entry to begin with.',
    commands: ['log'],
    parse: (text) => (text === 'first' ? null : wholeOffset(text)),
  },
  {
    flag: 'limit',
    key: 'limit',
    placeholder: 'ENTRIES',
    default: 'none',
    description: 'pull, cat: how many entries. none: all of them, with --raw and --decoded one.',
    commands: ['log', 'pull'],
    parse: (text) => (text === 'none' ? null : integer(1, Number.MAX_SAFE_INTEGER)(text)),
  },
  {
    flag: 'decoded',
    key: 'decoded',
    placeholder: '',
    default: 'off',
    description: "cat: the entry's rows too: resources, scopes, records and attributes with their types.",
    commands: ['log'],
    parse: (text) => oneOf(SWITCH)(text) === 'on',
  },
  {
    flag: 'row',
    key: 'row',
    placeholder: 'R',
    default: 'none',
    description: 'cat: the entry, where it stands, its bytes and the row R (column `row`) that a table has of it.',
    commands: ['log'],
    parse: (text) => (text === 'none' ? null : integer(0, Number.MAX_SAFE_INTEGER)(text)),
  },
  {
    flag: 'table',
    key: 'table',
    placeholder: 'NAME',
    default: 'any',
    description: `cat --row: the table of the row: ${ENTRY_TABLES.join(', ')} or any.`,
    commands: ['log'],
    parse: (text) => (text === 'any' ? null : oneOf(ENTRY_TABLES)(text)),
  },
  {
    flag: 'raw',
    key: 'raw',
    placeholder: '',
    default: 'off',
    description: "cat: nothing but the entry's record, byte by byte as it was received.",
    commands: ['log'],
    parse: (text) => oneOf(SWITCH)(text) === 'on',
  },
  {
    flag: 'from',
    key: 'from',
    placeholder: 'PLACE',
    default: 'auto',
    description:
      'Where to begin: an offset, start, end, or a time of receipt (2026-11-22T10:00:00Z). auto: where the folder ends, else start.',
    commands: ['pull'],
    parse: pullStart,
  },
  {
    flag: 'follow',
    key: 'follow',
    placeholder: '',
    default: 'off',
    description: 'Go on with what comes later, until SIGINT or SIGTERM.',
    commands: ['pull'],
    parse: (text) => oneOf(SWITCH)(text) === 'on',
  },
  {
    flag: 'signal',
    key: 'signal',
    placeholder: 'SIGNAL',
    default: 'all',
    description: `What is pulled: ${SIGNALS.join(', ')} or all.`,
    commands: ['pull'],
    parse: (text) => (text === 'all' ? null : oneOf(SIGNALS)(text)),
  },
  {
    flag: 'to',
    key: 'to',
    placeholder: 'FORMAT',
    default: 'none',
    description:
      'Where it goes: parquet DIR or delta DIR (tables as files), arrow FILE or stdout (entries as they are in the log). Must be given.',
    commands: ['pull'],
    parse: (text) => (text === 'none' ? null : oneOf(PULL_FORMATS)(text)),
  },
  {
    flag: 'projection',
    key: 'projection',
    placeholder: 'NAME',
    default: 'all',
    description: `What is built anew: ${SIGNALS.join(', ')} or all.`,
    commands: ['rebuild'],
    parse: (text) => (text === 'all' ? null : oneOf(SIGNALS)(text)),
  },
];
