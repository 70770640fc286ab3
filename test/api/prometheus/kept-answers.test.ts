/**
 * Goal: what the thread of PromQL keeps of the tables never shows: its answers are those of a reader that has just begun.
 * Method: a seeded schedule over a real log and engine: points that come in order, late, and twice, tables built anew, engines that end and start, and retention, each with questions under way; then the same questions to the thread that lived through it and to a new view.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createPrometheusQueries } from '../../../src/api/index.ts';
import { createCalls } from '../../../src/api/prometheus/calls.ts';
import type { PrometheusRequest } from '../../../src/api/prometheus/types.ts';
import { createMetricsView } from '../../../src/api/query/prometheus/create-view.ts';
import { LIMITS, SIGNAL_CODES, silentLogger } from '../../../src/base/index.ts';
import type { Log } from '../../../src/log/index.ts';
import { createMetricScans } from '../../../src/materialize/scan/metric-scans.ts';
import { seeTableChanges } from '../../../src/materialize/table-changes.ts';
import type { Engine, SqlRequest } from '../../../src/materialize/types.ts';
import { OTLP_CONTENT_TYPES } from '../../../src/otap/index.ts';
import { durableOf, engineUntil, openTestLog, startTestEngine } from '../../helpers/engine-log.ts';
import { nanos, otlpAttributes } from '../../helpers/metrics-view.ts';
import { type Random, seededRandom } from '../../helpers/random.ts';
import { PROMETHEUS_SETTINGS } from '../http/harness.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_123);
const STEPS = Number(process.env['TREASURY_TEST_STEPS'] ?? 6);

const BEGIN = 1_795_300_200;
const STEP_SECONDS = 30;
const GAP_SECONDS = 1200;
/** Short, for retention that runs each second. */
const AGE_MS = 10_000;

/** A log and the engine that serves it now, which changes. */
class Store {
  readonly directory: string;
  readonly log: Log;
  engine: Engine;
  /** Of gauges, by route and second: what was sent last. */
  readonly sent = new Map<string, Map<number, number>>();
  /** The present of the points that come in order. */
  nowSeconds = BEGIN;
  /** Older points may be gone. */
  keptFromSeconds = 0;
  readonly #random: Random;

  constructor(directory: string, log: Log, engine: Engine, random: Random) {
    this.directory = directory;
    this.log = log;
    this.engine = engine;
    this.#random = random;
  }

  readonly sql = (request: SqlRequest, signal: AbortSignal) => this.engine.sql(request, signal);

  async append(metrics: readonly object[], host: string): Promise<void> {
    const attributes = otlpAttributes({ 'service.name': 'shop', 'service.instance.id': host, zone: `z-${host}` });
    const record = Buffer.from(
      JSON.stringify({ resourceMetrics: [{ resource: { attributes }, scopeMetrics: [{ metrics }] }] }),
    );
    const headers = new Map([['content-type', OTLP_CONTENT_TYPES.JSON]]);
    await this.log.appendOtlp(SIGNAL_CODES.metrics, { batchId: 0n, record: [record], headers });
    this.engine.advance(durableOf(this.log.status()));
  }

  async caughtUp(): Promise<void> {
    const { durableOffset } = this.log.status();
    await engineUntil(this.engine, (status) => status.materializedOffset >= durableOffset);
  }

  /** Points of every kind: ahead, late, or at a time that was there before. */
  async appendSome(): Promise<void> {
    const random = this.#random;
    for (let entry = 1 + random.below(4); entry > 0; entry--) {
      const isLate = random.below(3) === 0;
      if (!isLate) this.nowSeconds += STEP_SECONDS * (1 + random.below(6));
      const back = isLate ? random.below(60) * STEP_SECONDS : 0;
      const seconds = Math.max(BEGIN, this.nowSeconds - back, this.keptFromSeconds + STEP_SECONDS);
      const host = random.pick(['a', 'b']);
      const route = random.pick(['/', '/cart', '/pay', '/help']);
      const levels = [seconds, seconds - (seconds % 60), seconds].map((at) => [at, random.below(100)] as const);
      await this.append([gauge(route, levels), ...others(route, seconds, random.below(50))], host);
      const known = this.sent.get(`${host} ${route}`) ?? new Map<number, number>();
      for (const [at, value] of levels) known.set(at, value);
      this.sent.set(`${host} ${route}`, known);
    }
    await this.caughtUp();
  }

  async restart(options: Partial<Parameters<typeof startTestEngine>[3]> = {}): Promise<void> {
    await this.engine.stop();
    this.engine = await startTestEngine(this.directory, this.log.status(), silentLogger, options);
  }

  /** What came before a gap goes, then what comes too late, while the engine runs and `look` has seen it. */
  async retain(look: () => Promise<unknown>): Promise<void> {
    this.keptFromSeconds = this.nowSeconds + GAP_SECONDS;
    this.nowSeconds += 2 * GAP_SECONDS;
    await this.appendSome();
    // Goes on while the test does, and must not reach what is kept.
    const fromSeconds = this.keptFromSeconds - GAP_SECONDS / 2;
    await this.restart({ retentionAgeMs: AGE_MS, retentionClockUnixMs: 1000 * fromSeconds + AGE_MS });
    await engineUntil(this.engine, ({ retention }) => retention.runs > 0);
    await this.append([...others('/', BEGIN, 1), ...others('/gone', BEGIN + 60, 1)], 'a');
    await this.caughtUp();
    await look();
    const { runs } = (await this.engine.status()).retention;
    await engineUntil(this.engine, ({ retention }) => retention.runs > runs + 1);
  }

  async rebuild(): Promise<void> {
    const { removed } = seeTableChanges(this.engine.tableChanges!);
    await this.engine.rebuildProjection('metrics');
    await this.appendOne();
    while (seeTableChanges(this.engine.tableChanges!).removed === removed) await this.engine.status();
    await this.caughtUp();
  }

  async appendOne(): Promise<void> {
    this.nowSeconds += STEP_SECONDS;
    await this.append(others('/cart', this.nowSeconds, 1), 'a');
  }
}

function gauge(route: string, points: readonly (readonly [seconds: number, value: number])[]): object {
  const attributes = otlpAttributes({ route });
  const dataPoints = points.map(([seconds, asDouble]) => ({ attributes, timeUnixNano: nanos(seconds), asDouble }));
  return { name: 'level', gauge: { dataPoints } };
}

function others(route: string, seconds: number, value: number): object[] {
  const point = {
    attributes: otlpAttributes({ route }),
    timeUnixNano: nanos(seconds),
    startTimeUnixNano: nanos(BEGIN),
  };
  const counts = { count: `${3 * value}`, sum: value / 2 };
  const histogram = { ...point, ...counts, bucketCounts: [`${value}`, `${2 * value}`], explicitBounds: [0.5] };
  const positive = { offset: 1, bucketCounts: [`${value}`, `${2 * value}`] };
  const quantileValues = [{ quantile: 0.5, value }];
  return [
    {
      name: 'requests',
      sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: [{ ...point, asInt: `${value}` }] },
    },
    {
      name: 'changes',
      sum: { aggregationTemporality: 1, isMonotonic: true, dataPoints: [{ ...point, asInt: `${value}` }] },
    },
    { name: 'took', histogram: { aggregationTemporality: 2, dataPoints: [histogram] } },
    {
      name: 'size',
      exponentialHistogram: { aggregationTemporality: 2, dataPoints: [{ ...point, ...counts, scale: 1, positive }] },
    },
    { name: 'rest', summary: { dataPoints: [{ ...point, ...counts, quantileValues }] } },
  ];
}

function query(text: string, [startMs, endMs, stepMs]: readonly [number, number, number]): PrometheusRequest {
  const common = { lookbackMs: null, limit: 0, stats: '', timeoutMs: 60_000 };
  return { kind: 'query', query: text, startMs, endMs, stepMs, ...common };
}

/** The same each time, so that they are told from what was kept; their ranges reach into what is gone, and beyond what there is. */
function questions({ nowSeconds, keptFromSeconds }: Store): PrometheusRequest[] {
  const untilMs = 1000 * (nowSeconds + 60);
  const whole = [1000 * Math.max(BEGIN, keptFromSeconds - GAP_SECONDS), untilMs, 60_000] as const;
  const recent = [untilMs - 1_200_000, untilMs, 30_000] as const;
  const range = { matchers: [], fromMs: 1000 * (BEGIN - 60), untilMs, limit: 0 };
  return [
    ...[whole, recent].flatMap((one) => [
      query('level', one),
      query('sum by (route) (rate(requests_total[5m]))', one),
      query('increase(changes_total[5m])', one),
      query('histogram_quantile(0.9, sum by (le) (rate(took_bucket[10m])))', one),
      query('took_sum + took_count', one),
      query('histogram_sum(size) or histogram_count(size)', one),
      query('rest', one),
      query('target_info', one),
    ]),
    query('{__name__=~".+"}', [untilMs, untilMs, 0]),
    { kind: 'series', name: '', ...range },
    { kind: 'labels', name: '', ...range },
    { kind: 'values', name: 'route', ...range },
    { kind: 'metadata', metric: undefined, metricsMax: 100, perMetricMax: 10 },
  ];
}

/** What does not begin as JSON does is a failure. */
type Ask = (request: PrometheusRequest) => Promise<string>;

/** One that has read nothing yet. */
function freshAsk(store: Store): Ask {
  const view = createMetricsView(createMetricScans(store.sql), PROMETHEUS_SETTINGS.view);
  const waiting = new Map<number, { text: string; end: (text: string) => void }>();
  const limits = {
    concurrencyMax: 20,
    queueMax: 20,
    bufferedBytesMax: Number.POSITIVE_INFINITY,
    bufferedTotalBytesMax: Number.POSITIVE_INFINITY,
    heldBytesMax: Number.POSITIVE_INFINITY,
    unreadMaxMs: LIMITS.prometheusUnreadMaxMs,
  };
  const calls = createCalls({
    view,
    lacking: () => null,
    settings: PROMETHEUS_SETTINGS,
    limits,
    onLoad: () => undefined,
    post(event) {
      const call = waiting.get(event.id)!;
      if (event.type === 'chunk') call.text += Buffer.from(event.bytes).toString();
      else if (event.type === 'end') call.end(call.text);
      else if (event.type === 'failure') call.end(`failed: ${event.failure.message} ${event.detail}`);
    },
  });
  let lastId = 0;
  return (request) =>
    new Promise((end) => {
      const id = ++lastId;
      waiting.set(id, { text: '', end });
      calls.start(id, request);
    });
}

/** Prometheus gives no order to vectors. */
function comparable(text: string): unknown {
  assert.ok(text.startsWith('{'), text);
  const { data, ...rest } = JSON.parse(text) as { data: { result?: unknown[] } | unknown[] };
  const items = Array.isArray(data) ? data : (data.result ?? Object.entries(data));
  return { ...rest, items: items.map((item) => JSON.stringify(item)).toSorted() };
}

async function startStore(t: TestContext, random: Random): Promise<Store> {
  const directory = await mkdtemp(join(tmpdir(), 'kept-answers-'));
  const log = await openTestLog(directory);
  const store = new Store(directory, log, await startTestEngine(directory, log.status()), random);
  t.after(async () => {
    await store.engine.stop();
    await log.close();
    await rm(directory, { recursive: true });
  });
  return store;
}

/** Of gauges, by series: what the thread tells of the times that retention left alone. */
async function levelsOf(ask: Ask, { keptFromSeconds, nowSeconds }: Store): Promise<Record<string, number[][]>> {
  const seconds = nowSeconds + 60 - Math.max(keptFromSeconds, BEGIN - 60);
  const atMs = 1000 * (nowSeconds + 60);
  const { data } = JSON.parse(await ask(query(`level[${seconds}s]`, [atMs, atMs, 0]))) as {
    data: { result: { metric: Record<string, string>; values: [number, string][] }[] };
  };
  return Object.fromEntries(
    data.result.map(({ metric, values }) => [
      `${metric['instance']} ${metric['route']}`,
      values.map(([time, value]) => [time, Number(value)]),
    ]),
  );
}

function levelsSent({ sent, keptFromSeconds }: Store): Record<string, number[][]> {
  const left = [...sent].map(([key, points]) => {
    const kept = [...points].filter(([seconds]) => seconds > keptFromSeconds);
    return [key, kept.toSorted(([one], [other]) => one - other)] as const;
  });
  return Object.fromEntries(left.filter(([, points]) => points.length > 0));
}

test('a thread that lived through every change of the tables answers as one that has just begun', async (t) => {
  const random = seededRandom(SEED);
  const store = await startStore(t, random);
  const engine = { sql: store.sql, tableChanges: store.engine.tableChanges };
  const queries = createPrometheusQueries({ engine, settings: PROMETHEUS_SETTINGS, logger: silentLogger });
  t.after(() => queries.stop());
  const ask: Ask = async (request) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of await queries.ask(request, new AbortController().signal)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };
  const changes = {
    append: () => store.appendSome(),
    rebuild: () => store.rebuild(),
    restart: () => store.restart(),
    retain: () => store.retain(() => Promise.all(questions(store).map(ask))),
  };
  // Each once, then by chance.
  const order = ['rebuild', 'append', 'retain', 'append', 'restart', 'append'] as const;
  // Nothing is left of it after retention.
  await store.append([{ ...gauge('/cart', [[BEGIN, 1]]), name: 'brief' }], 'a');
  await store.appendSome();
  for (let step = 0; step < STEPS; step++) {
    const change = order[step] ?? random.pick([...order, 'append', 'append'] as const);
    const hint = `seed ${SEED}, step ${step}: ${change}`;
    let isOver = false;
    const asking = (async () => {
      // What they are told depends on when; while no engine runs they fail.
      while (!isOver) await ask(random.pick(questions(store))).catch(() => new Promise(setImmediate));
    })();
    await changes[change]().finally(() => (isOver = true));
    await asking;
    await store.caughtUp();
    const fresh = freshAsk(store);
    for (const question of questions(store)) {
      const answers = [await ask(question), await fresh(question)].map(comparable);
      assert.deepEqual(answers[0], answers[1], `${hint}: ${JSON.stringify(question)}`);
    }
    assert.deepEqual(await levelsOf(ask, store), levelsSent(store), hint);
  }
});
