/** Commands and their options as help and as documentation. */

/** An option as it is described. */
interface DescribedOption {
  readonly flag: string;
  /** Empty for a flag without a value. */
  readonly placeholder: string;
  readonly default: string;
  readonly description: string;
  /** Its environment variable. */
  readonly variable: string;
}

/** A command with its options. */
export interface DescribedCommand {
  readonly usage: string;
  readonly description: string;
  readonly options: readonly DescribedOption[];
}

/** `treasury --help`. */
export function overviewText(
  commands: readonly Omit<DescribedCommand, 'options'>[],
  defaultCommand: DescribedCommand,
): string {
  const list = commands.map(({ usage, description }) => `  treasury ${usage}\n      ${description}`).join('\n');
  return `OpenTelemetry made durable first and queryable right after\n\n${list}\n\nOptions of serve:\n${optionLines(defaultCommand)}\n${COMMON_HELP}`;
}

/** The help of one command. */
export function commandText(command: DescribedCommand): string {
  return `treasury ${command.usage}\n${command.description}\n\n${optionLines(command)}\n${COMMON_HELP}`;
}

const OPTION_COLUMN = 26;
const COMMON_HELP = `  ${'-h, --help'.padEnd(OPTION_COLUMN - 2)} Show this help.\n  ${'--version'.padEnd(OPTION_COLUMN - 2)} Show the version.\n`;

function optionLines({ options }: DescribedCommand): string {
  return options
    .map(({ flag, placeholder, description, variable, ...option }) => {
      const head = `  --${flag} ${placeholder}`.trimEnd().padEnd(OPTION_COLUMN);
      const indent = ' '.repeat(OPTION_COLUMN + 1);
      return `${head} ${description}\n${indent}Default ${option.default}, environment ${variable}.`;
    })
    .join('\n');
}

/** The content of docs/configuration.md. */
export function optionsMarkdown(commands: readonly DescribedCommand[]): string {
  const sections = commands.map(({ usage, description, options }) => {
    const table = ['| flag | environment | default | what |', '|---|---|---|---|', ...options.map(optionRow)].join(
      '\n',
    );
    return `## \`treasury ${usage}\`\n\n${description}\n\n${table}\n`;
  });
  return [
    '# Configuration',
    '',
    '<!-- Generated from src/config-table.ts by `npm run generate`: do not edit. -->',
    '',
    'Everything has a default. A flag wins over its environment variable, which wins over the default. An unknown flag, an unknown',
    '`TREASURY_*` variable or a bad value ends the process with exit code 2 and the nearest valid name.',
    '',
    ...sections,
  ].join('\n');
}

function optionRow({ flag, placeholder, description, variable, ...option }: DescribedOption): string {
  const form = `--${flag} ${placeholder.replaceAll('|', '\\|')}`.trimEnd();
  return `| \`${form}\` | \`${variable}\` | \`${option.default}\` | ${description} |`;
}
