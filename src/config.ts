/**
 * The one table of options. Flags, environment variables, `--help` and docs/configuration.md come from it. A flag wins over the
 * environment, which wins over the default. The only file that reads `process.env`.
 */
import { parseArgs } from 'node:util';
import { LIMITS, type LogLevel, nearest, TreasuryError } from './base/index.ts';
import { durationMs, sizeBytes } from './quantities.ts';

/** A host and port to listen on. */
interface ListenAddress {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

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

type CommandName = 'serve' | 'sql' | 'status' | 'log';

type Environment = Readonly<Record<string, string | undefined>>;

/** Understands a command line (without node and the script). Throws TreasuryError TREASURY_CONFIG: exit 2. */
export function parseCommandLine(argv: readonly string[], environment: Environment = process.env): CommandLine {
  const { values, positionals } = parseFlags(argv);
  if (values['version'] === true) return { kind: 'version' };
  const [first, ...rest] = positionals;
  if (first === 'help') return { kind: 'help', text: overview() };
  const command = first === undefined ? SERVE : COMMANDS.find(({ name }) => name === first);
  if (command === undefined) {
    const name = nearest(
      first as string,
      COMMANDS.map((each) => each.name),
    );
    throw configError(`Unknown command ${first}: did you mean ${name}?`);
  }
  if (values['help'] === true) return { kind: 'help', text: first === undefined ? overview() : commandHelp(command) };
  const foreign = Object.keys(values).find((flag) => !flagsOf(command).includes(flag));
  if (foreign !== undefined) {
    throw configError(
      `Unknown flag --${foreign} of ${command.name}: did you mean --${nearest(foreign, flagsOf(command))}?`,
    );
  }
  if (rest.length < command.arguments.min || rest.length > command.arguments.max) {
    throw configError(`Cannot read the arguments of ${command.name}: usage is treasury ${command.usage}`);
  }
  if (command.name === 'log') checkLogArguments(rest);
  return { kind: 'command', name: command.name, arguments: rest, config: readConfig(command, values, environment) };
}

interface OptionSpec {
  /** Also the key in Config, in camel case. */
  readonly flag: string;
  readonly key: keyof Config;
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
    commands: ['serve', 'log'],
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
    description: 'How long the tables keep rows, by the time of the row, such as 7d, 12h or 90m. The log keeps its entries.',
    commands: ['serve'],
    parse: (text) => (text === 'none' ? null : durationMs(text)),
  },
  {
    flag: 'memory-limit',
    key: 'memoryLimitMb',
    placeholder: 'MB',
    default: '512',
    description: "DuckDB's memory limit in megabytes. The process takes up to about 300 MB more under load.",
    commands: ['serve'],
    parse: integer(64, 1_048_576),
  },
  {
    flag: 'threads',
    key: 'threads',
    placeholder: 'COUNT',
    default: '2',
    description: "DuckDB's threads.",
    commands: ['serve'],
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
];

const LOG_ACTIONS = ['ls', 'cat', 'verify'];

function checkLogArguments([action, offset]: readonly string[]): void {
  if (action !== undefined && !LOG_ACTIONS.includes(action)) {
    throw configError(`Unknown action ${action} of log: did you mean ${nearest(action, LOG_ACTIONS)}?`);
  }
  if (offset !== undefined && (action !== 'cat' || !/^\d{1,20}$/.test(offset))) {
    throw configError(
      `Cannot use OFFSET: it must be a whole number and goes with cat, value is ${JSON.stringify(offset)}`,
    );
  }
}

const COMMON_FLAGS = ['help', 'version'];

function parseFlags(argv: readonly string[]): {
  values: Readonly<Record<string, string | boolean | undefined>>;
  positionals: readonly string[];
} {
  const known = Object.fromEntries([
    ...OPTIONS.map(({ flag }) => [flag, { type: 'string' as const }]),
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

function nonEmpty(text: string): string {
  if (text === '') throw new Error('it must not be empty');
  return text;
}

function oneOf<Name extends string>(names: readonly Name[]): (text: string) => Name {
  return (text) => {
    const name = names.find((each) => each === text);
    if (name === undefined)
      throw new Error(`it must be one of ${names.join(', ')} (did you mean ${nearest(text, names)}?)`);
    return name;
  };
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw new Error(`it must be a whole number from ${min} to ${max}`);
    return value;
  };
}

function listenAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new Error('it must be HOST:PORT, such as 127.0.0.1:4317 or [::1]:4317');
  return { host: (match[1] ?? match[2]) as string, port };
}

/** One `*` for any part of the host or the port; no path behind it. */
const ORIGIN_PATTERN = /^[a-z][a-z0-9+.-]*:\/\/(?!.*\*.*\*)[^\s/?#@\\]+$/;

function webOrigins(text: string): readonly string[] {
  if (text === '' || text === 'none') return [];
  const origins = text.split(',').map((origin) => origin.trim().toLowerCase());
  const isOrigin = (origin: string): boolean => ORIGIN_PATTERN.test(origin) && URL.canParse(origin.replace('*', '1'));
  if (origins.length === 1 && origins[0] === '*') return origins;
  if (!origins.every(isOrigin)) {
    throw new Error(
      'it must be none, * or origins separated by commas, such as https://app.example.com or https://*.example.com',
    );
  }
  return origins;
}

function httpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new Error('it must be an http:// or https:// URL');
  return text.replace(/\/+$/, '');
}

const OPTION_COLUMN = 26;

function optionLines(command: CommandSpec): string {
  return optionsOf(command)
    .map(({ flag, placeholder, description, ...option }) => {
      const head = `  --${flag} ${placeholder}`.padEnd(OPTION_COLUMN);
      const indent = ' '.repeat(OPTION_COLUMN + 1);
      return `${head} ${description}\n${indent}Default ${option.default}, environment ${environmentName(flag)}.`;
    })
    .join('\n');
}

function overview(): string {
  const commands = COMMANDS.map(({ usage, description }) => `  treasury ${usage}\n      ${description}`).join('\n');
  return `OpenTelemetry made durable first and queryable right after\n\n${commands}\n\nOptions of serve:\n${optionLines(SERVE)}\n${COMMON_HELP}`;
}

function commandHelp(command: CommandSpec): string {
  return `treasury ${command.usage}\n${command.description}\n\n${optionLines(command)}\n${COMMON_HELP}`;
}

const COMMON_HELP = `  ${'-h, --help'.padEnd(OPTION_COLUMN - 2)} Show this help.\n  ${'--version'.padEnd(OPTION_COLUMN - 2)} Show the version.\n`;

/** The content of docs/configuration.md. */
export function configurationMarkdown(): string {
  const sections = COMMANDS.map((command) => {
    const rows = optionsOf(command).map(
      ({ flag, placeholder, description, ...option }) =>
        `| \`--${flag} ${placeholder.replaceAll('|', '\\|')}\` | \`${environmentName(flag)}\` | \`${option.default}\` | ${description} |`,
    );
    const table = ['| flag | environment | default | what |', '|---|---|---|---|', ...rows].join('\n');
    return `## \`treasury ${command.usage}\`\n\n${command.description}\n\n${table}\n`;
  });
  return [
    '# Configuration',
    '',
    '<!-- Generated from src/config.ts by `npm run generate`: do not edit. -->',
    '',
    'Everything has a default. A flag wins over its environment variable, which wins over the default. An unknown flag, an unknown',
    '`TREASURY_*` variable or a bad value ends the process with exit code 2 and the nearest valid name.',
    '',
    ...sections,
  ].join('\n');
}
