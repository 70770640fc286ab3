/** Servers whose n-th file call fails, for every n: what both kinds of failing disk have in common. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTreasury } from '../commands/process.ts';
import { engineRows, engineUntil, openTestLog, startTestEngine } from './engine-log.ts';
import {
  FAULT_CALLS,
  type FaultCall,
  type FaultRule,
  type FaultShim,
  faultShim,
  type RecordedCall,
} from './fault-shim.ts';
import { type Random, seededRandom } from './random.ts';
import {
  fetchSql,
  scratchDirectory,
  ServerStartError,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from './server-process.ts';
import { openStoppedTables, ROW_VIEWS } from './stopped-tables.ts';
import { type Answer, SMALL_LIMITS_ENV, WriteAccount, WriteScript } from './write-script.ts';

export const POINTS_SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
/**
 * `all` tries every point of the index, the tables, starts and stops too, `2/8` each eighth from the second on; else a seeded choice.
 * Points of the log are always tried all.
 */
const POINTS = process.env['TREASURY_TEST_POINTS'];
const SAMPLED_POINTS = 3;
const SAMPLED_STARTS = 3;

/** Points at whose number the n-th call did not come any more, in a row, before there are none left: retention's come and go. */
const MISSES_MAX = 3;
const RESUME_MAX_MS = 5_000;

/** How calls fail. */
export interface DiskFault {
  readonly error: 'EIO' | 'ENOSPC';
  readonly calls: readonly FaultCall[];
  /** From the n-th call on until the rules are cleared, not at the n-th call alone. */
  readonly lasts: boolean;
}

/** A disk that is full until space returns: what takes no room goes on, and syncs of what was there succeed. */
export const FULL_DISK: DiskFault = {
  error: 'ENOSPC',
  calls: ['write', 'create', 'rename', 'allocate', 'mkdir'],
  lasts: true,
};

/** A disk that takes writes and finds at the sync that it has no room for them. */
export const FULL_AT_SYNC: DiskFault = { error: 'ENOSPC', calls: ['sync'], lasts: true };

/** A disk that fails once. */
export const FAILING_DISK: DiskFault = { error: 'EIO', calls: FAULT_CALLS, lasts: false };

/** Files of one kind. */
interface Area {
  readonly name: 'lock' | 'log' | 'index' | 'tables';
  files(data: string): Pick<FaultRule, 'path' | 'notPath'>;
}

const LOCK: Area = { name: 'lock', files: (data) => ({ path: `${data}/lock` }) };
const LOG: Area = { name: 'log', files: (data) => ({ path: `${data}/log`, notPath: 'index.sqlite' }) };
const INDEX: Area = { name: 'index', files: (data) => ({ path: `${data}/log/index.sqlite` }) };
const TABLES: Area = { name: 'tables', files: (data) => ({ path: `${data}/tables` }) };

/** What must have failed, of the calls that a fault is about. */
const LOG_POINTS = [
  'create segment',
  'write segment',
  'sync segment',
  'sync folder',
  'open folder',
  'open segment',
  'unlink segment',
];

/** Messages of the operating system, SQLite and DuckDB for both faults. */
const DISK_REASON =
  /EIO|ENOSPC|No space left|Input\/output error|I\/O error|disk is full|SQLITE_(IOERR|FULL|CANTOPEN)|unable to open database file|fsync failed/i;

/**
 * Fails calls of a running server: each on the log's files in turn, by each of the faults; then some on the index and the tables, by the
 * first of them. What it leaves is looked at by a server without faults.
 */
export async function failWorkingPoints(t: TestContext, faults: readonly DiskFault[]): Promise<void> {
  const run = await startRun(t, faults[0]!);
  if (run === null) return;
  for (const fault of faults) {
    run.fault = fault;
    await failLogPoints(t, run);
  }
  run.fault = faults[0]!;
  await failDerivedPoints(t, run);
  await run.finish();
}

async function failLogPoints(t: TestContext, run: PointRun): Promise<void> {
  const { fault } = run;
  const before = run.shim.calls().length;
  let missed = 0;
  let tried = 0;
  for (let n = 0; missed < MISSES_MAX; n++) {
    const { hasFired } = await run.cycleWithFault(LOG, n);
    missed = hasFired ? 0 : missed + 1;
    if (!hasFired) continue;
    tried += 1;
    if (fault.lasts) await run.assertLogRefuses();
    await run.resumes();
  }
  if (fault.calls.includes('unlink')) await run.failDeletions();
  const reached = () => pointsOf(run.shim.calls().slice(before));
  const wanted = LOG_POINTS.filter((point) => fault.calls.some((call) => point.startsWith(`${call} `)));
  // The n-th call is not the same one in every cycle: what none of the numbers met is named.
  for (const point of wanted.filter((each) => !reached().includes(each))) {
    const [call, kind] = point.split(' ') as [FaultCall, 'segment' | 'folder'];
    await run.failNext(call, kind);
    if (fault.lasts) await run.assertLogRefuses();
    await run.resumes();
  }
  t.diagnostic(`${tried} points of the log failed: ${reached().join(', ')}`);
  assert.deepEqual(
    wanted.filter((point) => !reached().includes(point)),
    [],
    'points that were never reached',
  );
}

/** Intake goes on while the index or the tables fail, and they catch up. */
async function failDerivedPoints(t: TestContext, run: PointRun): Promise<void> {
  const { fault } = run;
  const random = seededRandom(POINTS_SEED);
  for (const area of [INDEX, TABLES]) {
    const total = await run.count(area);
    assert.ok(total > 0, `the ${area.name} is written to`);
    const points = choose(total, random);
    for (const n of points) {
      const { answers, hasFired } = await run.cycleWithFault(area, n);
      assert.ok(
        answers.every((answer) => answer === 'ok'),
        `${run.hint(area, n)}: entries were refused: ${answers.join(' ')}`,
      );
      if (hasFired && fault.lasts && area === TABLES) await run.assertTablesRed();
      await run.resumes();
      if (area === TABLES) await untilMaterialized(run.server);
    }
    t.diagnostic(`${points.length} of ${total} points of the ${area.name} failed`);
  }
}

/** Fails calls of servers that start on an empty directory, on what that left, and that stop. */
export async function failStartsAndStops(t: TestContext, fault: DiskFault): Promise<void> {
  const shim = faultShim(t);
  if (shim === null) return;
  const random = seededRandom(POINTS_SEED);
  const areas = [LOCK, LOG, INDEX, TABLES];
  const totals = await countStartAndStop(t, shim, fault, areas);
  const chosen = areas.flatMap((area, i) => [
    ...Array.from({ length: totals.starts[i]! }, (_, n) => ({ area, n, when: 'start' as const })),
    ...Array.from({ length: totals.stops[i]! }, (_, n) => ({ area, n, when: 'stop' as const })),
  ]);
  const points =
    everyPoint(chosen) ??
    (['start', 'stop'] as const).flatMap((when) => {
      const some = chosen.filter((point) => point.when === when);
      return Array.from({ length: SAMPLED_STARTS }, () => random.pick(some));
    });
  const fresh = () => {
    const data = scratchDirectory(t);
    return { data, account: new WriteAccount(t, data) };
  };
  let place = fresh();
  let refused = 0;
  for (const [i, { area, n, when }] of points.entries()) {
    const rules = [ruleOf(fault, area, place.data, n)];
    const hint = `${fault.error} at ${when} point ${n} of the ${area.name}, seed ${POINTS_SEED}`;
    shim.set(when === 'start' ? rules : []);
    const server = await startOrRefuse(t, place.data, shim, hint);
    if (server === null) refused += 1;
    else await workAndStop(server, place.account, shim, when === 'stop' ? rules : [], hint);
    shim.clear();
    // Some starts are on an empty directory, some on what earlier ones have left.
    if (i === points.length - 1 || (POINTS !== undefined ? i % 4 === 3 : i === Math.floor(points.length / 2))) {
      await assertKept(t, place.data, place.account, hint);
      place = fresh();
    }
  }
  assertNoneSyncedAgain(shim.calls());
  t.diagnostic(
    `${points.length} of ${chosen.length} points of starts and stops failed; ${refused} servers did not start`,
  );
}

/** A server on an own directory, with its clients. */
class PointRun {
  readonly #t: TestContext;
  readonly #account: WriteAccount;
  readonly #script: WriteScript;
  readonly shim: FaultShim;
  readonly server: ServerProcess;
  /** How calls fail from now on. */
  fault: DiskFault;
  #lastHint = '';

  constructor(
    t: TestContext,
    fault: DiskFault,
    parts: { account: WriteAccount; script: WriteScript; shim: FaultShim; server: ServerProcess },
  ) {
    this.#t = t;
    this.fault = fault;
    this.#account = parts.account;
    this.#script = parts.script;
    this.shim = parts.shim;
    this.server = parts.server;
  }

  hint(area: Area, n: number): string {
    return `${this.fault.error} at point ${n} of the ${area.name}, seed ${POINTS_SEED}`;
  }

  /** Calls of one cycle, until all is settled. */
  async count(area: Area): Promise<number> {
    const { data } = this.server;
    this.shim.set([{ ...area.files(data), calls: this.fault.calls, times: 0 }]);
    await this.#script.cycle();
    await this.#settle(area);
    return this.shim.counts()[0]!.matched;
  }

  async cycleWithFault(area: Area, n: number): Promise<{ answers: readonly Answer[]; hasFired: boolean }> {
    this.#lastHint = this.hint(area, n);
    this.shim.set([ruleOf(this.fault, area, this.server.data, n)]);
    const answers = await this.#script.cycle();
    if (area !== LOG) await this.#settle(area);
    assert.equal(this.server.child.exitCode, null, `${this.#lastHint}: the server ended\n${this.server.stderr()}`);
    assert.ok(!answers.includes('gone'), `${this.#lastHint}: a connection broke\n${this.server.stderr()}`);
    return { answers, hasFired: this.shim.counts()[0]!.fired > 0 };
  }

  /** Works until a call of one kind has failed. */
  async failNext(call: FaultCall, kind: 'segment' | 'folder'): Promise<void> {
    const { error, lasts } = this.fault;
    this.#lastHint = `${error} at the next ${call} of a ${kind}`;
    const path = kind === 'segment' ? { path: '.arrows' } : { path: `${this.server.data}/log`, notPath: '.' };
    this.shim.set([{ ...path, calls: [call], error, ...(lasts ? {} : { times: 1 }) }]);
    while (this.shim.counts()[0]!.fired === 0) await this.#script.cycle();
  }

  /** Fails removals by retention, whose time is not that of the cycles: the first, and the one after it. */
  async failDeletions(): Promise<void> {
    for (const skip of [0, 1]) {
      this.#lastHint = `${this.fault.error} at removal ${skip} of a segment`;
      this.shim.set([{ path: '.arrows', calls: ['unlink'], error: this.fault.error, skip, times: 1 }]);
      while (this.shim.counts()[0]!.fired === 0) await this.#script.cycle();
      await this.resumes();
    }
  }

  /** While the log's disk is full: refusals that name the reason everywhere, and reads as ever. */
  async assertLogRefuses(): Promise<void> {
    assert.equal(await this.#script.httpExport('logs'), 'unavailable', this.#lastHint);
    const { status, parts } = await readinessOf(this.server);
    assert.equal(status, 503, this.#lastHint);
    assert.match(parts['log']?.reason ?? '', DISK_REASON, this.#lastHint);
    assert.equal(await healthFigure(this.server, 'log'), '0', this.#lastHint);
    assert.equal((await fetchSql(this.server, 'SELECT count(*) FROM logs')).length, 1);
  }

  /** While the tables' disk is full: said by the part that writes them. Intake is asserted by its answers. */
  async assertTablesRed(): Promise<void> {
    for (;;) {
      assert.equal(await this.#script.httpExport('logs'), 'ok', this.#lastHint);
      const { status, parts } = await readinessOf(this.server);
      const red = Object.entries(parts).find(([, part]) => !part.ok);
      if (red !== undefined && DISK_REASON.test(red[1].reason ?? '')) {
        assert.equal(status, 503);
        assert.ok(red[0] === 'materialization' || red[0] === 'engine', red[0]);
        assert.equal(await healthFigure(this.server, red[0]), '0', this.#lastHint);
        return;
      }
      await sleep(20);
    }
  }

  /** Ends the fault: entries are taken within seconds, and health is green. */
  async resumes(): Promise<void> {
    this.shim.clear();
    const clearedAt = performance.now();
    for (;;) {
      const answer = await this.#script.httpExport('logs');
      const tookMs = performance.now() - clearedAt;
      assert.ok(tookMs < RESUME_MAX_MS, `${this.#lastHint}: intake did not resume within 5 s\n${this.server.stderr()}`);
      if (answer === 'ok') break;
      await sleep(20);
    }
    while ((await readinessOf(this.server)).status !== 200) await sleep(20);
  }

  async finish(): Promise<void> {
    this.#script.close();
    assert.equal(await this.server.end('SIGTERM'), 0, this.server.stderr());
    assertNoneSyncedAgain(this.shim.calls());
    await assertKept(this.#t, this.server.data, this.#account, this.#lastHint);
  }

  /** The index follows within a tenth of a second; the tables say when they have followed, or that they cannot. */
  async #settle(area: Area): Promise<void> {
    if (area !== TABLES) {
      await sleep(150);
      return;
    }
    for (;;) {
      const response = await fetch(`http://${this.server.http}/treasury/v1/status`);
      const { materializedOffset, durableOffset } = (await response.json()) as Record<string, unknown>;
      if (materializedOffset === durableOffset) return;
      if (this.fault.lasts && (this.shim.counts()[0]?.fired ?? 0) > 0) return;
      await sleep(20);
    }
  }
}

async function startRun(t: TestContext, fault: DiskFault): Promise<PointRun | null> {
  const shim = faultShim(t);
  if (shim === null) return null;
  const data = scratchDirectory(t);
  const account = new WriteAccount(t, data);
  const server = await startSmall(t, data, shim);
  const script = await WriteScript.connect(server, account);
  t.after(() => script.close());
  assert.deepEqual([...new Set(await script.cycle())], ['ok']);
  await untilMaterialized(server);
  return new PointRun(t, fault, { account, script, shim, server });
}

async function startSmall(t: TestContext, data: string, shim: FaultShim): Promise<ServerProcess> {
  const env = { ...SMALL_LIMITS_ENV, ...shim.env };
  const server = await startServerProcess(data, '127.0.0.1:0', ['--retention-age', '3s'], env);
  t.after(() => server.child.kill('SIGKILL'));
  return server;
}

/** A server, or null when it said clearly why it does not start. */
async function startOrRefuse(
  t: TestContext,
  data: string,
  shim: FaultShim,
  hint: string,
): Promise<ServerProcess | null> {
  try {
    return await startSmall(t, data, shim);
  } catch (error) {
    if (!(error instanceof ServerStartError)) throw error;
    assert.equal(error.code, 1, `${hint}: ${error.stderr}`);
    const line = error.stderr.split('\n').find((text) => text.startsWith('treasury: '));
    assert.match(line ?? error.stderr, DISK_REASON, hint);
    return null;
  }
}

async function workAndStop(
  server: ServerProcess,
  account: WriteAccount,
  shim: FaultShim,
  rules: readonly FaultRule[],
  hint: string,
): Promise<void> {
  const script = await WriteScript.connect(server, account);
  await script.cycle();
  shim.set(rules);
  const clearedAt = performance.now();
  while (rules.length === 0 && (await script.httpExport('logs')) !== 'ok') {
    assert.ok(performance.now() - clearedAt < RESUME_MAX_MS, `${hint}: intake did not resume within 5 s`);
    await sleep(20);
  }
  script.close();
  const code = await server.end('SIGTERM');
  assert.ok(
    code === 0 || (code === 1 && DISK_REASON.test(server.stderr())),
    `${hint}: ended with ${code}\n${server.stderr()}`,
  );
}

async function countStartAndStop(
  t: TestContext,
  shim: FaultShim,
  fault: DiskFault,
  areas: readonly Area[],
): Promise<{ starts: number[]; stops: number[] }> {
  const data = scratchDirectory(t);
  const rules = areas.map((area) => ({ ...area.files(data), calls: fault.calls, times: 0 }));
  const matched = () => shim.counts().map((count) => count.matched);
  shim.set(rules);
  const server = await startSmall(t, data, shim);
  const starts = matched();
  const script = await WriteScript.connect(server, new WriteAccount(t, data));
  await script.cycle();
  await untilMaterialized(server);
  script.close();
  shim.set(rules);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  return { starts, stops: matched() };
}

function ruleOf({ error, calls, lasts }: DiskFault, area: Area, data: string, skip: number): FaultRule {
  return { ...area.files(data), calls, skip, error, ...(lasts ? {} : { times: 1 }) };
}

/** All points, or the share of them that is wanted; null when a seeded choice is. */
function everyPoint<Point>(points: readonly Point[]): readonly Point[] | null {
  if (POINTS === undefined) return null;
  if (POINTS === 'all') return points;
  const [, share, shares] =
    /^([1-9]\d*)\/([1-9]\d*)$/.exec(POINTS) ?? assert.fail(`Cannot try points: value is ${POINTS}`);
  return points.filter((_, i) => i % Number(shares) === Number(share) - 1);
}

/** All numbers below `total` that are wanted, or a seeded few of them. */
function choose(total: number, random: Random): readonly number[] {
  const all = Array.from({ length: total }, (_, n) => n);
  const every = everyPoint(all);
  if (every !== null) return every;
  return Array.from({ length: Math.min(SAMPLED_POINTS, total) }, () => all.splice(random.below(all.length), 1)[0]!);
}

/**
 * Asserts, of a server that has ended, that one without faults starts on what it left, that the log holds all that was acknowledged and
 * is sound, and that the tables are those that a fresh rebuild makes of the log.
 */
async function assertKept(t: TestContext, data: string, account: WriteAccount, hint: string): Promise<void> {
  const server = await startServerProcess(data);
  t.after(() => server.child.kill('SIGKILL'));
  const { firstOffset, durableOffset } = await untilMaterialized(server);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  account.assertHeld(hint);
  const verified = await runTreasury(['log', 'verify', '--data', data]);
  assert.equal(verified.code, 0, `${hint}: ${verified.stdout}${verified.stderr}`);
  const select = ROW_VIEWS.map(
    (view) =>
      `SELECT '${view}', count(*)::VARCHAR, bit_xor(hash(t))::VARCHAR, count(DISTINCT (entry_offset, row))::VARCHAR
       FROM ${view} AS t WHERE entry_offset >= ${firstOffset}`,
  ).join(' UNION ALL ');
  const sql = `${select} ORDER BY ALL`;
  const tables = await openStoppedTables(t, data);
  const kept = (await tables.runAndReadAll(sql)).getRows();
  assert.deepEqual(kept, await rowsRebuilt(account.archive(), BigInt(durableOffset), sql), `${hint}: tables`);
  for (const [view, rows, , distinct] of kept) assert.equal(distinct, rows, `${hint}: ${String(view)} repeats rows`);
}

/** What a query answers on tables that are built from the whole log. */
async function rowsRebuilt(directory: string, durableOffset: bigint, sql: string): Promise<unknown[][]> {
  const log = await openTestLog(directory);
  try {
    const engine = await startTestEngine(directory, log.status());
    try {
      await engineUntil(engine, (status) => status.materializedOffset >= durableOffset);
      return await engineRows(engine, sql);
    } finally {
      await engine.stop();
    }
  } finally {
    await log.close();
  }
}

/** Asserts that no descriptor of the log's files was written to or synced after a sync of it had failed. */
function assertNoneSyncedAgain(calls: readonly RecordedCall[]): void {
  const poisoned = new Set<number>();
  for (const { call, path, opened, error } of calls) {
    if (opened === 0 || !path.includes('/log') || path.includes('index.sqlite')) continue;
    assert.ok(
      !((call === 'write' || call === 'sync') && poisoned.has(opened)),
      `${call} of ${path} after a sync of its descriptor had failed`,
    );
    if (call === 'sync' && error !== null) poisoned.add(opened);
  }
}

/** What failed, as call and kind of file, each once. */
function pointsOf(calls: readonly RecordedCall[]): string[] {
  const kindOf = (path: string): string => {
    if (path.endsWith('.arrows')) return 'segment';
    if (path.endsWith('/log')) return 'folder';
    return path.slice(path.lastIndexOf('/') + 1);
  };
  return [...new Set(calls.filter(({ error }) => error !== null).map(({ call, path }) => `${call} ${kindOf(path)}`))];
}

async function readinessOf(
  server: ServerProcess,
): Promise<{ status: number; parts: Readonly<Record<string, { ok: boolean; reason?: string }>> }> {
  const response = await fetch(`http://${server.http}/readyz`);
  const { parts } = (await response.json()) as { parts: Record<string, { ok: boolean; reason?: string }> };
  return { status: response.status, parts };
}

async function healthFigure(server: ServerProcess, part: string): Promise<string | undefined> {
  const metrics = await (await fetch(`http://${server.http}/metrics`)).text();
  return new RegExp(`^treasury_healthy\\{part="${part}"\\} (\\d)$`, 'm').exec(metrics)?.[1];
}
