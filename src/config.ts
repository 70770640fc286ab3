/**
 * The one table of options. Flags, environment variables, `--help` and docs/configuration.md come from it. A flag wins over the
 * environment, which wins over the default. The only file that reads `process.env`.
 */
import { parseArgs } from 'node:util';
import { LIMITS, type LogLevel, nearest, SIGNALS, TreasuryError } from './base/index.ts';
import { commandText, type DescribedCommand, optionsMarkdown, overviewText } from './config-text.ts';
import {
  integer,
  type ListenAddress,
  listenAddress,
  logArgumentsFault,
  httpUrl,
  nonEmpty,
  oneOf,
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
  readonly logLevel: LogLevel;
  readonly logFormat: 'auto' | 'text' | 'json';
  readonly server: string;
  readonly format: 'table' | 'json' | 'csv' | 'ndjson' | 'arrow';
  /** Null: the first entry. */
  readonly offset: bigint | null;
  /** Null: all entries, or one where the entry alone is written. */
  readonly limit: number | null;
  readonly decoded: boolean;
  readonly raw: boolean;
  /** Null: all. */
  readonly projection: string | null;
}

/** A command line, understood. */
export type CommandLine =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }
  | {
      readonly kind: 'command';
      readonly name: CommandName;
      readonly arguments: readonly string[];
      readonly config: Config;
    };

type CommandName = 'serve' | 'sql' | 'status' | 'log' | 'rebuild';

type Environment = Readonly<Record<string, string | undefined>>;

/** Understands a command line (without node and the script). Throws TreasuryError TREASURY_CONFIG: exit 2. */
export function parseCommandLine(argv: readonly string[], environment: Environment = process.env): CommandLine {
  const { values, positionals } = parseFlags(argv);
  if (values['version'] === true) return { kind: 'version' };
  const [first, ...rest] = positionals;
  if (first === 'help') return { kind: 'help', text: overviewText(COMMANDS, describe(SERVE)) };
  const command = first === undefined ? SERVE : COMMANDS.find(({ name }) => name === first);
  if (command === undefined) {
    const name = nearest(
      first as string,
      COMMANDS.map((each) => each.name),
    );
    throw configError(`Unknown command ${first}: did you mean ${name}?`);
  }
  if (values['help'] === true) {
    const text = first === undefined ? overviewText(COMMANDS, describe(SERVE)) : commandText(describe(command));
    return { kind: 'help', text };
  }
  const foreign = Object.keys(values).find((flag) => !flagsOf(command).includes(flag));
  if (foreign !== undefined) {
    throw configError(
      `Unknown flag --${foreign} of ${command.name}: did you mean --${nearest(foreign, flagsOf(command))}?`,
    );
  }
  if (rest.length < command.arguments.min || rest.length > command.arguments.max) {
    throw configError(`Cannot read the arguments of ${command.name}: usage is treasury ${command.usage}`);
  }
  const fault = command.name === 'log' ? logArgumentsFault(rest, values) : null;
  if (fault !== null) throw configError(fault);
  const config = readConfig(command, values, environment);
  const [, offset] = rest;
  return {
    kind: 'command',
    name: command.name,
    arguments: rest,
    config: command.name === 'log' && offset !== undefined ? { ...config, offset: BigInt(offset) } : config,
  };
}

interface OptionSpec {
  /** Also the key in Config, in camel case. */
  readonly flag: string;
  readonly key: keyof Config;
  /** Empty: a flag without a value, which means `on`. */
  readonly placeholder: string;
  readonly default: string;
  readonly description: string;
  readonly commands: readonly CommandName[];
  /** Throws an Error that says what is allowed. */
  readonly parse: (text: string) => Config[keyof Config];
}

/** Two of the smallest segments, and room to choose between them. */
const RETENTION_BYTES_MIN = 32_000_000;

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
const LOG_FORMATS = ['auto', 'text', 'json'] as const;
const SWITCH = ['on', 'off'] as const;
const FORMATS = ['table', 'json', 'csv', 'ndjson', 'arrow'] as const;

const OPTIONS: readonly OptionSpec[] = [
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
    default: '512',
    description: "DuckDB's memory limit in megabytes. The process takes up to about 300 MB more under load.",
    commands: ['serve', 'rebuild'],
    parse: integer(64, 1_048_576),
  },
  {
    flag: 'threads',
    key: 'threads',
    placeholder: 'COUNT',
    default: '2',
    description: "DuckDB's threads.",
    commands: ['serve', 'rebuild'],
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
    commands: ['sql', 'status'],
    parse: httpUrl,
  },
  {
    flag: 'format',
    key: 'format',
    placeholder: 'FORMAT',
    default: 'table',
    description: `How rows are written: ${FORMATS.join(', ')}. status and log know table and json.`,
    commands: ['sql', 'status', 'log'],
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
    description: 'cat: how many entries. none: all of them, with --raw and --decoded one.',
    commands: ['log'],
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
    flag: 'raw',
    key: 'raw',
    placeholder: '',
    default: 'off',
    description: "cat: nothing but the entry's record, byte by byte as it was received.",
    commands: ['log'],
    parse: (text) => oneOf(SWITCH)(text) === 'on',
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

interface CommandSpec {
  readonly name: CommandName;
  readonly usage: string;
  readonly description: string;
  readonly arguments: { readonly min: number; readonly max: number };
}

const SERVE: CommandSpec = {
  name: 'serve',
  usage: 'serve [options]',
  description: 'Take telemetry, keep it, answer queries. The default command.',
  arguments: { min: 0, max: 0 },
};

const COMMANDS: readonly CommandSpec[] = [
  SERVE,
  {
    name: 'sql',
    usage: 'sql "QUERY" [options]',
    description: 'Run one read-only SQL query on a server. QUERY - reads it from standard input.',
    arguments: { min: 1, max: 1 },
  },
  {
    name: 'status',
    usage: 'status [options]',
    description: 'Show offsets, lag, sizes and health of a server.',
    arguments: { min: 0, max: 0 },
  },
  {
    name: 'log',
    usage: 'log ls|cat|verify [OFFSET] [options]',
    description:
      'Look at the log of a data directory. ls: its segments. cat: entries from OFFSET on. verify: check every byte.',
    arguments: { min: 1, max: 2 },
  },
  {
    name: 'rebuild',
    usage: 'rebuild [options]',
    description:
      'Build the tables of a data directory anew from its log, beside the old ones, which are replaced at the end.',
    arguments: { min: 0, max: 0 },
  },
];

const COMMON_FLAGS = ['help', 'version'];

function parseFlags(argv: readonly string[]): {
  values: Readonly<Record<string, string | boolean | undefined>>;
  positionals: readonly string[];
} {
  const known = Object.fromEntries([
    ...OPTIONS.map(({ flag, placeholder }) => [flag, { type: placeholder === '' ? 'boolean' : 'string' } as const]),
    ['help', { type: 'boolean' as const, short: 'h' }],
    ['version', { type: 'boolean' as const }],
  ]);
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: known,
      allowPositionals: true,
      strict: true,
    });
    return { values: values as Record<string, string | boolean | undefined>, positionals };
  } catch (error) {
    throw flagError(error);
  }
}

function flagError(error: unknown): TreasuryError {
  const { code, message } = error as { code?: string; message: string };
  const flag = /'(-{1,2}[^' =]+)/.exec(message)?.[1] ?? '';
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    const known = [...OPTIONS.map((option) => option.flag), ...COMMON_FLAGS];
    return configError(`Unknown flag ${flag}: did you mean --${nearest(flag.replace(/^-+/, ''), known)}?`);
  }
  return configError(`Cannot read the flags: ${message.split('\n')[0]?.replace(/\.$/, '') ?? ''}`);
}

function flagsOf(command: CommandSpec): string[] {
  return [...optionsOf(command).map(({ flag }) => flag), ...COMMON_FLAGS];
}

function optionsOf(command: CommandSpec): OptionSpec[] {
  return OPTIONS.filter(({ commands }) => commands.includes(command.name));
}

function readConfig(
  command: CommandSpec,
  flags: Readonly<Record<string, string | boolean | undefined>>,
  environment: Environment,
): Config {
  for (const name of Object.keys(environment)) checkVariable(name);
  const entries = OPTIONS.map((option) => {
    const own = option.commands.includes(command.name);
    const flag = own ? flags[option.flag] : undefined;
    const variable = own ? environment[environmentName(option.flag)] : undefined;
    if (flag === true) return [option.key, parsed(option, 'on', `--${option.flag}`)];
    if (typeof flag === 'string') return [option.key, parsed(option, flag, `--${option.flag}`)];
    if (variable !== undefined) return [option.key, parsed(option, variable, environmentName(option.flag))];
    return [option.key, option.parse(option.default)];
  });
  return Object.fromEntries(entries) as unknown as Config;
}

/** A misspelt variable would be ignored in silence. */
function checkVariable(name: string): void {
  if (!name.startsWith(ENVIRONMENT_PREFIX) || name === SHARED_VARIABLE) return;
  const known = OPTIONS.map(({ flag }) => environmentName(flag));
  if (!known.includes(name)) {
    throw configError(`Unknown environment variable ${name}: did you mean ${nearest(name, known)}?`);
  }
}

function parsed(option: OptionSpec, text: string, source: string): Config[keyof Config] {
  try {
    return option.parse(text);
  } catch (error) {
    throw configError(`Cannot use ${source}: ${(error as Error).message}, value is ${JSON.stringify(text)}`);
  }
}

const ENVIRONMENT_PREFIX = 'TREASURY_';
/** Where the tests look for papers and captures. */
const SHARED_VARIABLE = 'TREASURY_SHARED';

function environmentName(flag: string): string {
  return `${ENVIRONMENT_PREFIX}${flag.replaceAll('-', '_').toUpperCase()}`;
}

function configError(message: string): TreasuryError {
  return new TreasuryError('TREASURY_CONFIG', message);
}

function describe(command: CommandSpec): DescribedCommand {
  const options = optionsOf(command).map((option) => ({ ...option, variable: environmentName(option.flag) }));
  return { ...command, options };
}

/** The content of docs/configuration.md. */
export function configurationMarkdown(): string {
  return optionsMarkdown(COMMANDS.map(describe));
}
