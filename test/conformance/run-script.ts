import type { Expression } from '../../src/api/query/promql/ast.ts';
import { evaluate } from '../../src/api/query/promql/evaluate.ts';
import type { Evaluation, EvaluationSettings, PromValue } from '../../src/api/query/promql/evaluation.ts';
import { FULL_SYNTAX } from '../../src/api/query/promql/parse-options.ts';
import { parseExpression } from '../../src/api/query/promql/parser.ts';
import { printExpression } from '../../src/api/query/promql/printer.ts';
import type { SampleSource } from '../../src/api/query/promql/source.ts';
import { atTime } from './at-time.ts';
import { mismatch } from './compare.ts';
import {
  type EvalCommand,
  type Expectation,
  type LoadCommand,
  parseScript,
  type ScriptCommand,
  type SequenceValue,
} from './script.ts';

/** Where a script's series go, and its expressions read from. */
export interface ScriptStorage {
  readonly source: SampleSource;
  /** Selections know the sample before their range: whether a histogram was reset against it. */
  readonly seesBefore: boolean;
  /** A script of these commands begins, with nothing loaded. */
  begin(commands: readonly ScriptCommand[]): Promise<void>;
  load(command: LoadCommand): void;
  clear(): void;
  /** Why selections since the last call lack series that are loaded; empty when they lack none. */
  takeUnsayable(): readonly string[];
}

export interface ScriptFailure {
  readonly line: number;
  readonly reason: string;
}

export interface ScriptOutcome {
  readonly passed: number;
  readonly failures: readonly ScriptFailure[];
  /** Evaluations that asked for series which the storage cannot be given, and why. */
  readonly unsayable: readonly ScriptFailure[];
}

/** Settings of the engine in upstream's own runs (promqltest.NewTestEngine). */
const SETTINGS: EvaluationSettings = {
  lookbackMs: 300_000,
  subqueryStepMs: 60_000,
  samplesMax: 10_000,
  delayedNameRemoval: true,
  typeAndUnitLabels: false,
  startTimestamps: true,
};

/** What of an expression depends on the range of the query, so that it cannot be asked in another one. */
const QUERY_CONTEXT = /(start|end|range|step)\(\)/;
const MINUTE_MS = 60_000;

/**
 * Runs the text of a script. Every `eval` counts once. As upstream does, instant evaluations are also made with `@` on every selector at other times, and each
 * as the middle step of a range query. Throws ScriptError for a script that cannot be read.
 */
export async function runScript(text: string, storage: ScriptStorage): Promise<ScriptOutcome> {
  const failures: ScriptFailure[] = [];
  const unsayable: ScriptFailure[] = [];
  let passed = 0;
  const commands = parseScript(text);
  await storage.begin(commands);
  for (const command of commands) {
    if (command.kind === 'clear') storage.clear();
    else if (command.kind === 'load') storage.load(command);
    else {
      const reason = await failureOf(storage.seesBefore ? command : withoutHints(command), storage.source);
      const lacking = storage.takeUnsayable();
      if (lacking.length > 0) unsayable.push({ line: command.line, reason: lacking.join(', ') });
      else if (reason === undefined) passed++;
      else failures.push({ line: command.line, reason });
    }
  }
  return { passed, failures, unsayable };
}

/** An expectation that nothing was reset is none. */
function withoutHints(command: EvalCommand): EvalCommand {
  const hintless = (value: SequenceValue): SequenceValue =>
    value.histogram?.counterReset === 'not_reset' ? { ...value, hasCounterResetHint: false } : value;
  const expected = command.expected.map(({ labels, values }) => ({ labels, values: values.map(hintless) }));
  return { ...command, expected };
}

async function failureOf(command: EvalCommand, source: SampleSource): Promise<string | undefined> {
  try {
    if (command.isRange) {
      const { startMs, endMs, stepMs } = command;
      return await checked(command, command.text, () => run(command.text, source, startMs, endMs, stepMs));
    }
    const variants = [{ text: command.text, atMs: command.atMs }, ...atVariants(command)];
    for (const { text, atMs } of variants) {
      const reason = await instantFailure(command, text, atMs, source);
      if (reason !== undefined) return text === command.text ? reason : `as ${text} at ${atMs} ms: ${reason}`;
    }
    return undefined;
  } catch (error) {
    return `broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  }
}

async function instantFailure(
  command: EvalCommand,
  text: string,
  atMs: number,
  source: SampleSource,
): Promise<string | undefined> {
  let value: PromValue | undefined;
  const reason = await checked(command, text, async () => {
    const evaluation = await run(text, source, atMs, atMs, 0);
    value = evaluation.value;
    return evaluation;
  });
  if (reason !== undefined || value === undefined || command.isInstantOnly || QUERY_CONTEXT.test(text)) return reason;
  const inRange = await run(text, source, atMs - MINUTE_MS, atMs + MINUTE_MS, MINUTE_MS);
  if (command.isOrdered || inRange.value.type !== 'matrix') return undefined;
  const middle = atStep(inRange.value.series, atMs, value.type === 'scalar');
  const rangeReason = mismatch(command, middle);
  return rangeReason === undefined ? undefined : `as a step of a range query: ${rangeReason}`;
}

/** Runs, and holds failure, annotations and value against what is expected. */
async function checked(
  command: EvalCommand,
  text: string,
  evaluation: () => Promise<Evaluation>,
): Promise<string | undefined> {
  const fails = command.expectations.filter(({ about }) => about === 'fail');
  let result: Evaluation;
  try {
    result = await evaluation();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (fails.length === 0) return `failed: ${message}`;
    const unmatched = fails.find(({ matches }) => !matches(message));
    return unmatched === undefined ? undefined : `failed with "${message}" where "${unmatched.text}" is expected`;
  }
  if (fails.length > 0) return 'is expected to fail and did not';
  return (
    annotationMismatch(command.expectations, 'warn', result.warnings) ??
    annotationMismatch(command.expectations, 'info', result.infos) ??
    withText(text, mismatch(command, result.value))
  );
}

function withText(text: string, reason: string | undefined): string | undefined {
  return reason === undefined ? undefined : `${text}: ${reason}`;
}

function annotationMismatch(
  expectations: readonly Expectation[],
  about: 'warn' | 'info',
  messages: readonly string[],
): string | undefined {
  if (expectations.some((expected) => expected.about === `no_${about}`) && messages.length > 0)
    return `unexpected ${about} annotations: ${messages.join(' | ')}`;
  const wanted = expectations.filter((expected) => expected.about === about);
  if (wanted.length === 0) return undefined;
  const unmet = wanted.find(({ matches }) => !messages.some(matches));
  if (unmet !== undefined) return `${about} "${unmet.text}" is missing, there are: ${messages.join(' | ') || 'none'}`;
  const extra = messages.find((message) => !wanted.some(({ matches }) => matches(message)));
  return extra === undefined ? undefined : `unexpected ${about}: ${extra}`;
}

function run(text: string, source: SampleSource, startMs: number, endMs: number, stepMs: number): Promise<Evaluation> {
  const expression = parseExpression(text, FULL_SYNTAX);
  return evaluate(
    { expression, text, startMs, endMs, stepMs, settings: SETTINGS },
    source,
    new AbortController().signal,
  );
}

function atVariants(command: EvalCommand): { text: string; atMs: number }[] {
  const expression: Expression | undefined = atTime(parseExpression(command.text, FULL_SYNTAX), command.atMs);
  if (expression === undefined) return [];
  const text = printExpression(expression);
  const { atMs } = command;
  const times = atMs === 0 ? [-1000, 0, 1000] : [-10 * atMs, 0, Math.trunc(atMs / 5), atMs, 10 * atMs];
  return times.map((time) => ({ text, atMs: time }));
}

function atStep(
  series: Extract<PromValue, { type: 'matrix' }>['series'],
  timeMs: number,
  isScalar: boolean,
): PromValue {
  const elements = series.flatMap(({ labels, floats, histograms }) => {
    const float = floats.timesMs.indexOf(timeMs);
    const histogram = histograms.timesMs.indexOf(timeMs);
    return [
      ...(float === -1 ? [] : [{ labels, value: floats.values[float]!, histogram: undefined }]),
      ...(histogram === -1 ? [] : [{ labels, value: 0, histogram: histograms.values.at(histogram)! }]),
    ];
  });
  if (isScalar) return { type: 'scalar', timeMs, value: elements[0]!.value };
  return { type: 'vector', timeMs, elements };
}
