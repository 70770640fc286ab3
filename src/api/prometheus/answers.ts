/** Answers of the thread: a request to its JSON. */
import { performance } from 'node:perf_hooks';
import { LIMITS } from '../../base/index.ts';
import { childrenOf } from '../query/promql/tree.ts';
import type { Expression, LabelMatcher } from '../query/promql/ast.ts';
import { expressionJson } from '../query/promql/ast-json.ts';
import { evaluate } from '../query/promql/evaluate.ts';
import type { MemoryBudget } from '../query/promql/memory-budget.ts';
import { typeOf } from '../query/promql/expression-types.ts';
import { matchAnything, parseMetricSelector } from '../query/promql/parse-metric-selector.ts';
import { parseExpression } from '../query/promql/parser.ts';
import { prettify } from '../query/promql/prettify.ts';
import { quoteText } from '../query/promql/quote.ts';
import type { Limited, MetricsView } from '../query/prometheus/metrics-view.ts';
import { cardinalityOf } from './cardinality.ts';
import { failureOf, invalidParameter, RequestFailure } from './failure.ts';
import { listBytes, valueBytes } from './held-bytes.ts';
import type { JsonOutput } from './json-output.ts';
import type { KeptLists } from './kept-lists.ts';
import type { PrometheusRequest, PrometheusSettings, QueryRequest, SeriesRequest } from './types.ts';
import { seriesCount, writeLabels, writeList, writeValue } from './value-json.ts';

/** What answers are made from. */
export interface AnswerContext {
  readonly view: MetricsView;
  /** What the store lacks now, null: nothing. */
  readonly lacking: () => string | null;
  readonly settings: PrometheusSettings;
  readonly signal: AbortSignal;
  readonly lists: KeptLists;
  /** Of all evaluations. */
  readonly memory: MemoryBudget;
  /** When the request came and when work on it began, by `performance.now()`. */
  readonly arrivedMs: number;
  readonly begunMs: number;
  /** Told before anything is written: what follows waits for the reader alone, and holds about this many bytes. */
  readonly found: (bytes: number) => void;
}

/** Writes the answer to a request. What fails is thrown before the first byte. */
export async function writeAnswer(
  output: JsonOutput,
  request: PrometheusRequest,
  context: AnswerContext,
): Promise<void> {
  switch (request.kind) {
    case 'query':
      return writeQuery(output, request, context);
    case 'format':
      return writeData(output, prettify(parse(request.query, context, LIMITS.prometheusLaidOutLengthMax)), context);
    case 'parse':
      return writeData(output, expressionJson(parse(request.query, context)), context);
    case 'exemplars':
      return writeExemplars(output, request, context);
    case 'series':
    case 'labels':
    case 'values':
      return writeSeriesLists(output, request, context);
    case 'metadata': {
      const metadata = await context.view.metadata(request, context.signal);
      return writeData(output, Object.fromEntries(metadata), context);
    }
    case 'cardinality':
      return writeData(output, await cardinalityOf(context.view, request.limit, context.signal), context);
    case 'check':
      readSelectors(request.matchers, request.parameter);
      context.found(0);
      output.ascii(HEAD);
      output.bytes(Buffer.from(request.data, 'utf8'));
      return output.ascii('}');
  }
}

const HEAD = '{"status":"success","data":';
const TRUNCATED = 'results truncated due to limit';
/** Annotations of one kind in an answer, as upstream has it. */
const ANNOTATIONS_MAX = 10;

/** Data that is small enough to be written at once. */
function writeData(output: JsonOutput, data: unknown, { found }: AnswerContext): void {
  found(0);
  output.ascii(HEAD);
  output.value(data);
  output.ascii('}');
}

/** Writes what stands behind `data`. */
function writeTail(
  output: JsonOutput,
  { lacking }: AnswerContext,
  own: readonly string[],
  infos: readonly string[] = [],
): void {
  const lack = lacking();
  const warnings = lack === null ? own : [lack, ...own];
  if (warnings.length > 0) {
    output.ascii(',"warnings":');
    output.value(atMost(warnings, 'warning'));
  }
  if (infos.length > 0) {
    output.ascii(',"infos":');
    output.value(atMost(infos, 'info'));
  }
  output.ascii('}');
}

function atMost(annotations: readonly string[], kind: string): readonly string[] {
  const omitted = annotations.length - ANNOTATIONS_MAX;
  if (omitted <= 0) return annotations;
  return [...annotations.slice(0, ANNOTATIONS_MAX), `${omitted} more ${kind} annotations omitted`];
}

function parse(
  query: string,
  { settings }: AnswerContext,
  lengthMax: number = LIMITS.prometheusQueryLengthMax,
): Expression {
  checkLength(query, 'query', lengthMax);
  try {
    return parseExpression(query, settings.syntax);
  } catch (error) {
    throw rejected(error, 'query');
  }
}

function checkLength(text: string, parameter: string, lengthMax: number): void {
  if (text.length > lengthMax) throw invalidParameter(parameter, `it is longer than ${lengthMax} characters`);
}

/** What a parser says of a parameter. */
function rejected(error: unknown, parameter: string): unknown {
  const { type, message } = failureOf(error);
  return type === 'bad_data' ? invalidParameter(parameter, message) : error;
}

async function writeQuery(output: JsonOutput, request: QueryRequest, context: AnswerContext): Promise<void> {
  const { view, settings, signal, memory, arrivedMs, begunMs } = context;
  const { query, startMs, endMs, stepMs, limit, stats } = request;
  const expression = parse(query, context);
  if (stepMs > 0) checkRangeType(expression);
  signal.throwIfAborted();
  const startedMs = performance.now();
  const lookbackMs = request.lookbackMs ?? settings.view.lookbackMs;
  const { typeAndUnitLabels } = settings.view;
  const evaluation = await evaluate(
    {
      expression,
      text: query,
      startMs,
      endMs,
      stepMs,
      settings: { ...settings.evaluation, typeAndUnitLabels, lookbackMs },
      memory,
    },
    view,
    signal,
  );
  const evaluatedMs = performance.now();
  const { value } = evaluation;
  const warnings = [...evaluation.warnings];
  if (limit > 0 && seriesCount(value) > limit) warnings.push(TRUNCATED);
  const statsWarning = warningOfStats(stats);
  if (statsWarning !== null) warnings.push(statsWarning);
  context.found(valueBytes(value));
  output.ascii(`${HEAD}{"resultType":"${value.type}","result":`);
  await writeValue(output, value, limit);
  if (stats !== '') {
    const { samplesTotal, samplesPeak } = evaluation.stats;
    output.ascii(',"stats":');
    output.value({
      timings: {
        evalTotalTime: (evaluatedMs - startedMs) / 1000,
        execQueueTime: (begunMs - arrivedMs) / 1000,
        execTotalTime: (evaluatedMs - arrivedMs) / 1000,
      },
      samples: { totalQueryableSamples: samplesTotal, peakSamples: samplesPeak },
    });
  }
  output.ascii('}');
  writeTail(output, context, warnings, evaluation.infos);
}

/** Upstream refuses these before it evaluates anything. */
function checkRangeType(expression: Expression): void {
  const type = typeOf(expression);
  if (type !== 'string' && type !== 'matrix') return;
  const name = type === 'matrix' ? 'range vector' : type;
  throw invalidParameter(
    'query',
    `invalid expression type "${name}" for range query, must be Scalar or instant Vector`,
  );
}

function warningOfStats(stats: string): string | null {
  if (['', 'true', 'all'].includes(stats)) return null;
  return `value ${quoteText(stats)} for parameter "stats" is deprecated and will be rejected in the next major release, use "true" or "all"`;
}

async function writeExemplars(
  output: JsonOutput,
  { query, fromMs, untilMs }: Extract<PrometheusRequest, { kind: 'exemplars' }>,
  context: AnswerContext,
): Promise<void> {
  const { view, settings, signal } = context;
  checkLength(query, 'query', LIMITS.prometheusQueryLengthMax);
  const selectors = selectorsOf(parseExpression(query, settings.syntax));
  const found = selectors.length === 0 ? [] : await view.exemplars({ selectors, fromMs, untilMs, limit: 0 }, signal);
  context.found(listBytes(found.flatMap(({ exemplars }) => exemplars)));
  output.ascii(HEAD);
  await writeList(output, found, 0, async ({ labels, exemplars }) => {
    output.ascii('{"seriesLabels":');
    writeLabels(output, labels);
    output.ascii(',"exemplars":');
    await writeList(output, exemplars, 0, (exemplar) => {
      output.ascii('{"labels":');
      writeLabels(output, exemplar.labels);
      output.ascii(',"value":');
      output.float(exemplar.value);
      output.ascii(',"timestamp":');
      output.time(exemplar.timeMs);
      output.ascii('}');
    });
    output.ascii('}');
  });
  writeTail(output, context, []);
}

function selectorsOf(expression: Expression): readonly (readonly LabelMatcher[])[] {
  if (expression.kind === 'vector-selector') return [expression.matchers];
  return childrenOf(expression).flatMap(selectorsOf);
}

async function writeSeriesLists(
  output: JsonOutput,
  { kind, name, matchers, ...range }: SeriesRequest,
  context: AnswerContext,
): Promise<void> {
  const { view, signal } = context;
  const wanted = { ...range, selectors: readSelectors(matchers, kind === 'series' ? 'match[]' : undefined) };
  if (kind === 'series') {
    const { items, isCut } = await view.series(wanted, signal);
    context.found(listBytes(items));
    output.ascii(HEAD);
    await writeList(output, items, 0, (labels) => writeLabels(output, labels));
    return writeTail(output, context, isCut ? [TRUNCATED] : []);
  }
  const texts: Limited<string> =
    kind === 'labels' ? await view.labelNames(wanted, signal) : await view.labelValues(name, wanted, signal);
  context.found(listBytes(texts.items));
  output.ascii(`${HEAD}[`);
  await context.lists.write(output, texts.items);
  output.ascii(']');
  return writeTail(output, context, texts.isCut ? [TRUNCATED] : []);
}

/** Selectors of `match[]`. `parameter`: what errors name, undefined where upstream names nothing. */
function readSelectors(texts: readonly string[], parameter: string | undefined): (readonly LabelMatcher[])[] {
  for (const text of texts) checkLength(text, parameter ?? 'match[]', LIMITS.prometheusQueryLengthMax);
  try {
    const selectors = texts.map(parseMetricSelector);
    if (selectors.some(matchAnything))
      throw new RequestFailure('bad_data', 'match[] must contain at least one non-empty matcher');
    return selectors;
  } catch (error) {
    throw parameter === undefined ? error : rejected(error, parameter);
  }
}
