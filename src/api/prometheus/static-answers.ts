/** Answers that do not come from what is stored: there are no targets, rules and alerts here, and the status is this server's. */
import { hostname } from 'node:os';
import { formatDurationMs } from '../query/promql/numbers.ts';
import { quoteText } from '../query/promql/quote.ts';
import { LIMITS } from '../../base/index.ts';
import { invalidParameter, RequestFailure } from './failure.ts';
import { featuresOn } from './features.ts';
import type { Form } from './form.ts';
import { readInteger } from './parameters.ts';
import { countOf } from './requests.ts';
import type { PrometheusRequest, PrometheusSettings } from './types.ts';

/** What the server knows of itself. */
export interface ServerFacts {
  readonly version: string;
  readonly startedAtUnixMs: number;
  readonly settings: PrometheusSettings;
}

/** The Prometheus whose behaviour this API has: clients tell by it what they may ask for. */
const PROMETHEUS_VERSION = '3.14.0';

/** `data` of the answer. */
export type StaticAnswer = (form: Form, facts: ServerFacts) => unknown;

export const STATIC_ANSWERS: Readonly<Record<string, StaticAnswer>> = {
  '/alerts': () => ({ alerts: [] }),
  '/alertmanagers': () => ({ activeAlertmanagers: [], droppedAlertmanagers: [] }),
  '/scrape_pools': () => ({ scrapePools: [] }),
  '/scrape_pools/config': (form) => refuseScrapePool(form),
  '/targets': (form) => targets(form),
  '/notifications': () => [],
  '/status/buildinfo': (_, { version }) => ({
    version: PROMETHEUS_VERSION,
    revision: '',
    branch: '',
    buildUser: '',
    buildDate: '',
    goVersion: '',
    application: 'otelarrow-treasury',
    applicationVersion: version,
  }),
  '/status/runtimeinfo': (_, { startedAtUnixMs }) => ({
    startTime: new Date(startedAtUnixMs).toISOString(),
    CWD: process.cwd(),
    hostname: hostname(),
    serverTime: new Date().toISOString(),
    reloadConfigSuccess: true,
    lastConfigTime: new Date(startedAtUnixMs).toISOString(),
  }),
  '/status/config': (_, { settings }) => ({ yaml: configurationYaml(settings) }),
  '/status/flags': (_, { settings }) => flags(settings),
  '/status/tsdb/blocks': () => ({ blocks: [] }),
  // Requests are answered when the log has been recovered.
  '/status/walreplay': () => ({ min: 0, max: 0, current: 0 }),
};

/** `rules`: none, once the parameters are right. */
export function rulesRequest(form: Form): PrometheusRequest {
  const type = form.getOfUrl('type').toLowerCase();
  const check: PrometheusRequest = {
    kind: 'check',
    matchers: form.all('match[]'),
    parameter: undefined,
    data: JSON.stringify({ groups: [] }),
  };
  if (!['', 'alert', 'record'].includes(type)) throw invalidParameter('type', `not supported value ${quoteText(type)}`);
  const exclude = form.getOfUrl('exclude_alerts').toLowerCase();
  if (!['', '1', '0', 't', 'f', 'true', 'false'].includes(exclude)) {
    const reason = `error converting exclude_alerts: strconv.ParseBool: parsing ${quoteText(exclude)}: invalid syntax`;
    throw invalidParameter('exclude_alerts', reason);
  }
  checkPages(form);
  return check;
}

/** `targets/metadata`: none, once the parameters are right. */
export function targetsMetadataRequest(form: Form): PrometheusRequest {
  countOf(form, 'limit');
  const target = form.get('match_target');
  return { kind: 'check', matchers: target === '' ? [] : [target], parameter: 'match_target', data: '[]' };
}

function checkPages(form: Form): void {
  const limit = form.getOfUrl('group_limit');
  const token = form.getOfUrl('group_next_token');
  if (limit === '') {
    if (token === '') return;
    const reason = 'group_limit needs to be present in order to paginate over the groups';
    throw invalidParameter('group_next_token', reason);
  }
  const count = readInteger(limit, 32);
  if (typeof count !== 'number') {
    const reason = `group_limit needs to be a valid number: strconv.ParseInt: parsing ${quoteText(limit)}: ${count.error}`;
    throw invalidParameter('group_limit', reason);
  }
  if (count <= 0) throw invalidParameter('group_limit', 'group_limit needs to be greater than 0');
  if (token === '') return;
  throw invalidParameter('group_next_token', `invalid group_next_token '${token}'. were rule groups changed?`);
}

function refuseScrapePool(form: Form): never {
  const pool = form.get('scrapePool');
  if (pool === '') throw new RequestFailure('bad_data', 'no scrapePool parameter provided');
  throw new RequestFailure('bad_data', `error retrieving scrape config: scrape pool ${quoteText(pool)} not found`);
}

function targets(form: Form): unknown {
  const state = form.getOfUrl('state').toLowerCase();
  const showsDropped = ['', 'any', 'dropped'].includes(state);
  return { activeTargets: [], droppedTargets: [], droppedTargetCounts: showsDropped ? {} : null };
}

/** How OTLP looks here, as Prometheus' configuration would say it. */
function configurationYaml({ view }: PrometheusSettings): string {
  const promoted = view.promotedResourceAttributes;
  return [
    'otlp:',
    `  translation_strategy: ${view.strategy}`,
    `  keep_identifying_resource_attributes: ${view.keepsIdentifyingAttributes}`,
    `  convert_histograms_to_nhcb: ${view.convertsHistograms}`,
    `  promote_scope_metadata: ${view.promotesScope}`,
    promoted.length === 0 ? '  promote_resource_attributes: []' : '  promote_resource_attributes:',
    ...promoted.map((key) => `    - ${JSON.stringify(key)}`),
    '',
  ].join('\n');
}

function flags(settings: PrometheusSettings): Readonly<Record<string, string>> {
  const { view, evaluation, queryTimeoutMs } = settings;
  return {
    'enable-feature': featuresOn(settings).join(','),
    'query.lookback-delta': formatDurationMs(view.lookbackMs),
    'query.max-concurrency': String(LIMITS.prometheusConcurrencyMax),
    'query.max-samples': String(evaluation.samplesMax),
    'query.timeout': formatDurationMs(queryTimeoutMs),
  };
}
