/**
 * Command lines and the environment, read by the one table of options (config-table.ts). A flag wins over the environment, which wins over
 * the default. The only file that reads `process.env`.
 */
import { parseArgs } from 'node:util';
import { nearest, TreasuryError } from './base/index.ts';
import { COMMANDS, type CommandName, type CommandSpec, SERVE } from './config-commands.ts';
import { type Config, OPTIONS, type OptionSpec } from './config-table.ts';
import { commandText, type DescribedCommand, optionsMarkdown, overviewText } from './config-text.ts';
import { logArgumentsFault, pullArgumentsFault } from './option-values.ts';
import { pushArgumentsFault } from './push-arguments.ts';

export type { Config } from './config-table.ts';

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
  const fault = argumentsFault(command.name, rest, values);
  if (fault !== null) throw configError(fault);
  const config = readConfig(command, values, environment);
  const pullFault = command.name === 'pull' ? pullArgumentsFault(rest, config.to) : null;
  if (pullFault !== null) throw configError(pullFault);
  const [, offset] = rest;
  return {
    kind: 'command',
    name: command.name,
    arguments: rest,
    config: command.name === 'log' && offset !== undefined ? { ...config, offset: BigInt(offset) } : config,
  };
}

/** What is wrong with the arguments of a command and its flags together, or null. */
function argumentsFault(name: CommandName, rest: readonly string[], values: FlagValues): string | null {
  if (name === 'log') return logArgumentsFault(rest, values as Readonly<Record<string, string | boolean | undefined>>);
  return name === 'push' ? pushArgumentsFault(rest) : null;
}

type FlagValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

const COMMON_FLAGS = ['help', 'version'];

function parseFlags(argv: readonly string[]): {
  values: FlagValues;
  positionals: readonly string[];
} {
  const known = Object.fromEntries([
    ...OPTIONS.map(
      ({ flag, placeholder, isList = false }) =>
        [flag, { type: placeholder === '' ? 'boolean' : 'string', multiple: isList } as const] as const,
    ),
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
    return { values: values as FlagValues, positionals };
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

function readConfig(command: CommandSpec, flags: FlagValues, environment: Environment): Config {
  for (const name of Object.keys(environment)) checkVariable(name);
  const entries = OPTIONS.map((option) => {
    const own = option.commands.includes(command.name);
    const flag = own ? flags[option.flag] : undefined;
    const variable = own ? environment[environmentName(option.flag)] : undefined;
    if (option.isList === true) return [option.key, parsedList(option, flag, variable)];
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

/** Of names that are given twice only one could be meant. */
function parsedList(option: OptionSpec, flag: FlagValues[string], variable: string | undefined): readonly unknown[] {
  const source = flag === undefined ? environmentName(option.flag) : `--${option.flag}`;
  const texts = Array.isArray(flag) ? (flag as readonly string[]) : (variable ?? option.default).split(/\s+/);
  const values = texts
    .filter((text) => text !== '' && text !== option.default)
    .map((text) => parsed(option, text, source) as { readonly name: string });
  const names = values.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw configError(`Cannot use ${source}: ${twice} is given twice`);
  return values;
}

function parsed(option: OptionSpec, text: string, source: string): ReturnType<OptionSpec['parse']> {
  try {
    return option.parse(text);
  } catch (error) {
    const shown = JSON.stringify(option.shown?.(text) ?? text);
    throw configError(`Cannot use ${source}: ${(error as Error).message}, value is ${shown}`);
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
