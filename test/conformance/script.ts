import type { FloatHistogram } from '../../src/api/query/promql/histogram.ts';
import type { Labels } from '../../src/api/query/promql/labels.ts';
import { parseSeriesDescription, parseStartTimes } from '../../src/api/query/promql/series-description.ts';

/** One step of a script in the format of Prometheus' promqltest. Times are Unix milliseconds: scripts begin at 0. */
export type ScriptCommand = { readonly kind: 'clear' } | LoadCommand | EvalCommand;

export interface LoadCommand {
  readonly kind: 'load';
  readonly stepMs: number;
  /** Classic histograms are loaded as histograms with custom buckets, too. */
  readonly withNhcb: boolean;
  readonly series: readonly LoadedSeries[];
}

export interface LoadedSeries {
  readonly labels: Labels;
  readonly samples: readonly ScriptSample[];
}

export interface ScriptSample {
  readonly timeMs: number;
  readonly value: number;
  readonly histogram: FloatHistogram | undefined;
  /** 0: unknown. */
  readonly startTimeMs: number;
}

/** What stands for one step in the description of a series; omitted steps have no sample. */
export interface SequenceValue {
  readonly omitted: boolean;
  readonly value: number;
  readonly histogram: FloatHistogram | undefined;
  /** The histogram names a hint, so that the hint counts in comparisons. */
  readonly hasCounterResetHint: boolean;
}

export interface EvalCommand {
  readonly kind: 'eval';
  /** Counted from 1. */
  readonly line: number;
  readonly text: string;
  readonly isRange: boolean;
  /** Of an instant evaluation, all of the evaluated time; of one that expects a range vector, its steps. */
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
  /** Where an instant expression is evaluated. */
  readonly atMs: number;
  readonly expectations: readonly Expectation[];
  readonly isOrdered: boolean;
  /** A range vector or a string is expected, which has no form as a range query. */
  readonly isInstantOnly: boolean;
  readonly expectedString: string | undefined;
  readonly expectedScalar: SequenceValue | undefined;
  readonly expected: readonly ExpectedSeries[];
}

export interface ExpectedSeries {
  readonly labels: Labels;
  readonly values: readonly SequenceValue[];
}

export interface Expectation {
  readonly about: 'fail' | 'warn' | 'no_warn' | 'info' | 'no_info';
  readonly matches: (message: string) => boolean;
  /** As written, for messages. */
  readonly text: string;
}

const LOAD = /^load(?:_(with_nhcb))?\s+(.+?)$/;
const EVAL_INSTANT = /^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$/;
const EVAL_RANGE = /^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$/;
const EXPECT = /^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$/;
const EXPECT_RANGE_VECTOR = /^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$/;

/** A script that cannot be read; the message names the line. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';
}

/** Reads a whole script. Throws ScriptError. Source: promqltest/test.go. */
export function parseScript(text: string): ScriptCommand[] {
  const lines = text.split('\n').map((line) => (line.trim().startsWith('#') ? '' : line.trim()));
  const commands: ScriptCommand[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at]!;
    let end = at + 1;
    while (end < lines.length && lines[end] !== '') end++;
    const keyword = line.split(/[\t ]+/, 1)[0]!.toLowerCase();
    try {
      if (line === '') {
        at++;
        continue;
      }
      if (keyword === 'clear') {
        commands.push({ kind: 'clear' });
        at++;
      } else if (keyword.startsWith('load')) {
        commands.push(parseLoad(line, lines.slice(at + 1, end)));
        at = end;
      } else if (keyword.startsWith('eval')) {
        const evaluation = parseEval(line, lines.slice(at + 1, end), at + 1);
        commands.push(evaluation.command);
        at += 1 + evaluation.linesTaken;
      } else {
        throw new ScriptError(`Invalid command: ${line}`);
      }
    } catch (error) {
      throw new ScriptError(`Line ${at + 1}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
  return commands;
}

function parseLoad(line: string, definitions: readonly string[]): LoadCommand {
  const [, nhcb, step] = LOAD.exec(line) ?? fail('Invalid load command');
  const stepMs = durationMs(step!);
  const series: LoadedSeries[] = [];
  let startTimes: { key: string; offsetsMs: readonly (number | undefined)[] } | undefined;
  for (const definition of definitions) {
    if (/^\S+@st\s/.test(definition)) {
      if (startTimes !== undefined) fail('A line of start times has no line of samples behind it');
      const { labels, offsetsMs } = parseStartTimes(definition);
      startTimes = { key: labels.key, offsetsMs };
      continue;
    }
    const { labels, values } = parseSeriesDescription(definition);
    if (startTimes !== undefined && startTimes.key !== labels.key)
      fail('A line of start times belongs to another series');
    if (startTimes !== undefined && startTimes.offsetsMs.length !== values.length)
      fail(`${startTimes.offsetsMs.length} start times stand before ${values.length} samples`);
    const offsetsMs = startTimes?.offsetsMs;
    startTimes = undefined;
    series.push({ labels, samples: samplesOf(values, stepMs, offsetsMs) });
  }
  if (startTimes !== undefined) fail('A line of start times has no line of samples behind it');
  return { kind: 'load', stepMs, withNhcb: nhcb !== undefined, series };
}

function samplesOf(
  values: readonly SequenceValue[],
  stepMs: number,
  offsetsMs: readonly (number | undefined)[] | undefined,
): ScriptSample[] {
  return values.flatMap(({ omitted, value, histogram }, step) => {
    if (omitted) return [];
    const timeMs = step * stepMs;
    const offsetMs = offsetsMs?.[step];
    return [{ timeMs, value, histogram, startTimeMs: offsetMs === undefined ? 0 : timeMs + offsetMs }];
  });
}

function parseEval(
  line: string,
  below: readonly string[],
  lineNumber: number,
): { command: EvalCommand; linesTaken: number } {
  const instant = EVAL_INSTANT.exec(line);
  const range = EVAL_RANGE.exec(line);
  if (instant === null && range === null) fail('Invalid evaluation command');
  const isRange = instant === null;
  const mode = instant?.[1] ?? range?.[1];
  const times = isRange
    ? { startMs: durationMs(range![2]!), endMs: durationMs(range![3]!), stepMs: durationMs(range![4]!) }
    : { startMs: durationMs(instant![2]!), endMs: durationMs(instant![2]!), stepMs: 0 };
  if (times.endMs < times.startMs) fail('The end is before the start');
  const expectations: Expectation[] = [];
  if (mode === 'fail' || mode === 'warn' || mode === 'info')
    expectations.push({ about: mode, matches: () => true, text: '' });
  const expected: ExpectedSeries[] = [];
  let isOrdered = mode === 'ordered';
  let rangeVector: { startMs: number; endMs: number; stepMs: number } | undefined;
  let expectedString: string | undefined;
  let expectedScalar: SequenceValue | undefined;
  let linesTaken = 0;
  for (const definition of below) {
    linesTaken++;
    const message = /^expected_fail_(message|regexp)\s*(.*)$/.exec(definition);
    if (mode === 'fail' && message !== null) {
      expectations[0] = expectation('fail', message[1] === 'message' ? 'msg' : 'regex', message[2]!);
      break;
    }
    if (definition.startsWith('expect range vector')) {
      const [, from, to, step] = EXPECT_RANGE_VECTOR.exec(definition) ?? fail('Invalid definition of a range vector');
      rangeVector = { startMs: durationMs(from!), endMs: durationMs(to!), stepMs: durationMs(step!) };
    } else if (definition.startsWith('expect string')) {
      expectedString = unquoted(definition.slice('expect string'.length).trim());
    } else if (definition.split(' ', 1)[0] === 'expect') {
      const [, about, how, what] = EXPECT.exec(definition) ?? fail('Invalid expect line');
      if (about === 'ordered') isOrdered = true;
      else expectations.push(expectation(about as Expectation['about'], how, what?.trim() ?? ''));
    } else if (isNumber(definition)) {
      expectedScalar = {
        omitted: false,
        value: goNumber(definition),
        histogram: undefined,
        hasCounterResetHint: false,
      };
      break;
    } else {
      const { labels, values } = parseSeriesDescription(definition);
      if (values.length > 1 && !isRange && rangeVector === undefined) fail('Several values are expected of an instant');
      expected.push({ labels, values });
    }
  }
  return {
    linesTaken,
    command: {
      kind: 'eval',
      line: lineNumber,
      text: instant?.[3] ?? range![5]!,
      isRange,
      ...(rangeVector ?? times),
      atMs: rangeVector?.endMs ?? times.startMs,
      expectations,
      isOrdered,
      isInstantOnly: rangeVector !== undefined || expectedString !== undefined,
      expectedString,
      expectedScalar,
      expected,
    },
  };
}

function expectation(about: Expectation['about'], how: string | undefined, text: string): Expectation {
  if (how === 'msg') return { about, matches: (message) => message === text, text };
  if (how === undefined) return { about, matches: () => true, text };
  const pattern = new RegExp(text);
  return { about, matches: (message) => pattern.test(message), text };
}

/** Prometheus' durations: units from years to milliseconds, largest first, each at most once; 0 needs none. */
function durationMs(text: string): number {
  if (text === '0') return 0;
  const parts = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text);
  if (text === '' || parts === null) return fail(`Invalid duration: ${text}`);
  const hourMs = 3_600_000;
  const unitsMs = [365 * 24 * hourMs, 7 * 24 * hourMs, 24 * hourMs, hourMs, 60_000, 1000, 1];
  return unitsMs.reduce((sum, unitMs, at) => sum + Number(parts[at + 1] ?? 0) * unitMs, 0);
}

function isNumber(text: string): boolean {
  return /^[+-]?(?:inf|infinity|nan|0x[0-9a-f]+|\d[\d_]*\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)$/i.test(text);
}

function goNumber(text: string): number {
  const sign = text.startsWith('-') ? -1 : 1;
  const digits = text.replace(/^[+-]/, '');
  if (/^inf/i.test(digits)) return sign * Number.POSITIVE_INFINITY;
  if (/^nan$/i.test(digits)) return Number.NaN;
  return sign * Number(digits.replaceAll('_', ''));
}

function unquoted(text: string): string {
  if (/^`[^`]*`$/.test(text)) return text.slice(1, -1);
  if (!/^".*"$/.test(text)) return fail('A string is expected in quotes');
  return JSON.parse(text) as string;
}

function fail(message: string): never {
  throw new ScriptError(message);
}
