/** The words of a unit in the name of a metric: `m/s` is `meters` and `per_second`; '' where there is none. */
export interface UnitWords {
  readonly main: string;
  readonly per: string;
}

/** Units of UCUM that have words in Prometheus' names (OpenTelemetry's compatibility specification). */
const UNITS: ReadonlyMap<string, string> = new Map([
  ['d', 'days'],
  ['h', 'hours'],
  ['min', 'minutes'],
  ['s', 'seconds'],
  ['ms', 'milliseconds'],
  ['us', 'microseconds'],
  ['ns', 'nanoseconds'],
  ['By', 'bytes'],
  ['KiBy', 'kibibytes'],
  ['MiBy', 'mebibytes'],
  ['GiBy', 'gibibytes'],
  ['TiBy', 'tibibytes'],
  ['KBy', 'kilobytes'],
  ['MBy', 'megabytes'],
  ['GBy', 'gigabytes'],
  ['TBy', 'terabytes'],
  ['m', 'meters'],
  ['V', 'volts'],
  ['A', 'amperes'],
  ['J', 'joules'],
  ['W', 'watts'],
  ['g', 'grams'],
  ['Cel', 'celsius'],
  ['Hz', 'hertz'],
  ['1', ''],
  ['%', 'percent'],
]);

const PER_UNITS: ReadonlyMap<string, string> = new Map([
  ['s', 'second'],
  ['m', 'minute'],
  ['h', 'hour'],
  ['d', 'day'],
  ['w', 'week'],
  ['mo', 'month'],
  ['y', 'year'],
]);

/** The words of an OpenTelemetry unit; annotations in braces (`{request}`) have none. */
export function unitWords(unit: string): UnitWords {
  const slash = unit.indexOf('/');
  const main = (slash === -1 ? unit : unit.slice(0, slash)).trim();
  const per = slash === -1 ? '' : unit.slice(slash + 1).trim();
  const perWord = isAnnotation(per) ? '' : (PER_UNITS.get(per) ?? per);
  return {
    main: isAnnotation(main) ? '' : (UNITS.get(main) ?? main),
    per: perWord === '' ? '' : `per_${perWord}`,
  };
}

/** With what names may not hold as `_`, once in a row, none in front. */
export function escapedUnitWord(word: string): string {
  return word
    .replace(/[^a-zA-Z0-9:]/gu, '_')
    .replace(/_+/g, '_')
    .replace(/^_/, '');
}

/** The unit as one word, as the label `__unit__` and metadata tell it. */
export function unitName(unit: string, escapes: boolean): string {
  const { main, per } = unitWords(unit);
  const words = escapes ? [escapedUnitWord(main), escapedUnitWord(per)] : [main, per];
  return words
    .filter((word) => word !== '')
    .join('_')
    .replace(/^_/, '')
    .replace(/_$/, '');
}

function isAnnotation(unit: string): boolean {
  return /[{}]/.test(unit);
}
