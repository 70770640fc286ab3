/** Requests for what is stored: their parameters, read. */
import { invalidParameter, RequestFailure } from './failure.ts';
import type { Form } from './form.ts';
import { labelOfPath } from './label-name.ts';
import {
  durationParameter,
  hasTooManySteps,
  limitParameter,
  neededTime,
  readDuration,
  readInteger,
  TIME_MAX_MS,
  TIME_MIN_MS,
  timeParameter,
} from './parameters.ts';
import { LIMITS } from '../../base/index.ts';
import type { PrometheusRequest, QueryRequest, SeriesRequest } from './types.ts';

/** `query`. */
export function instantQuery(form: Form): QueryRequest {
  const limit = limitParameter(form);
  const timeMs = timeParameter(form, 'time', Date.now());
  return { kind: 'query', limit, startMs: timeMs, endMs: timeMs, stepMs: 0, ...commonOfQueries(form) };
}

/** `query_range`. */
export function rangeQuery(form: Form): QueryRequest {
  const limit = limitParameter(form);
  const startMs = neededTime(form, 'start');
  const endMs = neededTime(form, 'end');
  if (endMs < startMs) throw invalidParameter('end', 'end timestamp must not be before start time');
  const step = readDuration(form.get('step'));
  if ('error' in step) throw invalidParameter('step', step.error);
  if (step.nanoseconds <= 0) throw noStep();
  if (hasTooManySteps(endMs - startMs, step.nanoseconds)) {
    const reason =
      'exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)';
    throw new RequestFailure('bad_data', reason);
  }
  const stepMs = Math.trunc(step.nanoseconds / 1e6);
  // Upstream divides by zero below a millisecond.
  if (stepMs === 0) throw noStep();
  return { kind: 'query', limit, startMs, endMs, stepMs, ...commonOfQueries(form) };
}

/** `query_exemplars`. */
export function exemplarsQuery(form: Form): PrometheusRequest {
  const { fromMs, untilMs } = rangeOf(form);
  if (untilMs < fromMs) throw new RequestFailure('bad_data', 'end timestamp must not be before start timestamp');
  return { kind: 'exemplars', query: form.get('query'), fromMs, untilMs };
}

/** `series`. */
export function seriesQuery(form: Form): SeriesRequest {
  // Elsewhere upstream does not look.
  if (form.fault !== undefined) throw new RequestFailure('bad_data', `error parsing form values: ${form.fault}`);
  if (form.all('match[]').length === 0) throw new RequestFailure('bad_data', 'no match[] parameter provided');
  return { kind: 'series', name: '', ...selectionOf(form) };
}

/** `labels`. */
export function labelsQuery(form: Form): SeriesRequest {
  return { kind: 'labels', name: '', ...selectionOf(form) };
}

/** `label/NAME/values`. */
export function valuesQuery(form: Form, name: string): SeriesRequest {
  return { kind: 'values', name: labelOfPath(name), ...selectionOf(form) };
}

/** `metadata`. */
export function metadataQuery(form: Form): PrometheusRequest {
  const metricsMax = countOf(form, 'limit');
  const perMetricMax = countOf(form, 'limit_per_metric');
  const metric = form.get('metric');
  return {
    kind: 'metadata',
    metric: metric === '' ? undefined : metric,
    metricsMax: metricsMax < 0 ? Number.POSITIVE_INFINITY : metricsMax,
    perMetricMax: perMetricMax <= 0 ? Number.POSITIVE_INFINITY : perMetricMax,
  };
}

/** `status/tsdb`. */
export function cardinalityQuery(form: Form): PrometheusRequest {
  const text = form.get('limit');
  const limit = text === '' ? CARDINALITY_SHOWN : readInteger(text);
  if (typeof limit !== 'number' || limit < 1) throw new RequestFailure('bad_data', 'limit must be a positive number');
  if (limit > LIMITS.prometheusCardinalityMax)
    throw new RequestFailure('bad_data', `limit must not exceed ${LIMITS.prometheusCardinalityMax}`);
  return { kind: 'cardinality', limit };
}

/** A number of items; negative when it is not given. */
export function countOf(form: Form, name: string): number {
  const text = form.get(name);
  if (text === '') return -1;
  const count = readInteger(text);
  if (typeof count !== 'number') throw new RequestFailure('bad_data', `${name} must be a number`);
  return count;
}

const CARDINALITY_SHOWN = 10;

function noStep(): RequestFailure {
  const reason = 'zero or negative query resolution step widths are not accepted. Try a positive integer';
  return invalidParameter('step', reason);
}

function commonOfQueries(form: Form): Pick<QueryRequest, 'query' | 'timeoutMs' | 'lookbackMs' | 'stats'> {
  const timeoutMs = durationParameter(form, 'timeout') ?? Number.MAX_SAFE_INTEGER;
  const lookback = form.get('lookback_delta');
  const duration = lookback === '' ? { nanoseconds: 0 } : readDuration(lookback);
  if ('error' in duration)
    throw new RequestFailure('bad_data', `error parsing lookback delta duration: ${duration.error}`);
  const lookbackMs = Math.trunc(duration.nanoseconds / 1e6);
  return {
    query: form.get('query'),
    timeoutMs,
    lookbackMs: duration.nanoseconds > 0 ? lookbackMs : null,
    stats: form.get('stats'),
  };
}

function selectionOf(form: Form): Pick<SeriesRequest, 'matchers' | 'fromMs' | 'untilMs' | 'limit'> {
  const limit = limitParameter(form);
  return { limit, ...rangeOf(form), matchers: form.all('match[]') };
}

function rangeOf(form: Form): { readonly fromMs: number; readonly untilMs: number } {
  const fromMs = timeParameter(form, 'start', TIME_MIN_MS);
  return { fromMs, untilMs: timeParameter(form, 'end', TIME_MAX_MS) };
}
