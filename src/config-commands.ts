/** The commands of `treasury` and what they take. Their options are in config-table.ts. */

/** Names of commands. */
export type CommandName = 'serve' | 'sql' | 'status' | 'log' | 'rebuild' | 'pull' | 'push';

/** A command as it is described and called. */
export interface CommandSpec {
  readonly name: CommandName;
  readonly usage: string;
  readonly description: string;
  readonly arguments: { readonly min: number; readonly max: number };
}

/** What runs without a command. */
export const SERVE: CommandSpec = {
  name: 'serve',
  usage: 'serve [options]',
  description: 'Take telemetry, keep it, answer queries. The default command.',
  arguments: { min: 0, max: 0 },
};

/** All commands, in the order of the help. */
export const COMMANDS: readonly CommandSpec[] = [
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
      'Build the tables anew from the log, beside the old ones, which are replaced at the end: those of a data directory, or of a running --server.',
    arguments: { min: 0, max: 0 },
  },
  {
    name: 'pull',
    usage: 'pull --to parquet DIR|delta DIR|arrow FILE|stdout [options]',
    description:
      'Pull the log of a server from any offset: as tables in Parquet files or Delta Lake tables that are gone on with, or as an Arrow stream.',
    arguments: { min: 0, max: 1 },
  },
  {
    name: 'push',
    usage: 'push ls|create|show|pause|resume|rewind|fork|delete [NAME] [URL|PLACE|NEW-NAME] [options]',
    description:
      'Look after the exporters of a server. create NAME URL: otlp://HOST:PORT, otap://…, otlp+http://…, parquet:DIR and the like. rewind NAME PLACE: an offset, a time of receipt, event:TIME, start or end. fork NAME NEW-NAME: another one at the same place.',
    arguments: { min: 1, max: 3 },
  },
];
