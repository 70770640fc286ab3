/** How severe a line is. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type LogFields = Readonly<Record<string, unknown>>;

/** Writes one line an event. Fields are facts with units in their names (`bytes`, `durationMs`). */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

export interface LoggerOptions {
  /** `text` for people, `json` for machines: one JSON object a line. */
  format: 'text' | 'json';
  level: LogLevel;
  write: (line: string) => void;
}

/** A logger that writes whole lines (newline included) through `options.write`. */
export function createLogger(options: LoggerOptions): Logger {
  const threshold = LEVELS.indexOf(options.level);
  const line = options.format === 'json' ? jsonLine : textLine;
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (LEVELS.indexOf(level) >= threshold) options.write(line(level, message, fields ?? {}));
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Drops everything: the logger of tests and of library use. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

function jsonLine(level: LogLevel, message: string, fields: LogFields): string {
  return `${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }, plain)}\n`;
}

function textLine(level: LogLevel, message: string, fields: LogFields): string {
  const facts = Object.entries(fields).map(([name, value]) => ` ${name}=${JSON.stringify(value, plain)}`);
  return `${new Date().toISOString()} ${level.toUpperCase().padEnd(5)} ${message.replaceAll('\n', '\\n')}${facts.join('')}\n`;
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Error) return value.message;
  return value;
}
