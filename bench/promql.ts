/**
 * How fast PromQL is answered over HTTP, whole answers read, beside a Prometheus that was sent the same OTLP: requests to both alternate, and what they answer must
 * agree before anything is timed. Environment: PROMETHEUS, VICTORIA_METRICS: paths of binaries; without the first nothing is compared.
 *
 *   npm run build && PROMETHEUS=… npm run bench:promql [-- --cases instant,topk --rounds 9 --data DIR --pause 10 --cold 3]
 *
 * `--data` keeps what was sent there and uses it the next time. `--pause` is for how many seconds the pauses of materialization are measured; 0: not at all.
 * `--cold` starts both that often before each case and shows the first answer beside warm ones.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Answer, assertSameAnswers, readAnswer } from './promql-answers.ts';
import { type BenchCase, CASES, LONG_METRIC, longPath } from './promql-cases.ts';
import { measureCold } from './promql-cold.ts';
import { type BenchMetric, requestsOf, samplesOf } from './promql-data.ts';
import { measurePauses } from './promql-pause.ts';
import { type Peer, PROMETHEUS, startPrometheus, startVictoriaMetrics } from './promql-peers.ts';
import { machine, materialized, median, metric, root, startServer } from './process.ts';

const RATIO_TARGET = 0.5;
const PAUSE_TARGET_MS = 100;
const SENDERS = 4;
const MIB = 2 ** 20;

const { values: flags } = parseArgs({
  options: {
    cases: { type: 'string', default: '' },
    rounds: { type: 'string', default: '9' },
    warmups: { type: 'string', default: '3' },
    pause: { type: 'string', default: '10' },
    data: { type: 'string' },
    cold: { type: 'string', default: '0' },
  },
});
const rounds = Number(flags.rounds);
const wanted = flags.cases.split(',');
const cases = CASES.filter(({ name }) => wanted.some((part) => name.includes(part)));
const pauseSeconds = Number(flags.pause);
const coldRounds = Number(flags.cold);

console.log(machine());
const directory = flags.data === undefined ? mkdtempSync(join(root, 'treasury-data-bench-')) : resolve(flags.data);
const { endMs, metrics, isLoaded } = plan(join(directory, 'plan.json'));
const server = await startServer([], join(directory, 'treasury'));
const ours = `http://${server.http}/api/v1`;
const peers = await startPeers();
try {
  if (!isLoaded) await load();
  await materialized(server);
  server.resetRssPeak();
  for (const { name, kind, series, points } of metrics)
    console.log(`  ${name}: ${kind}, ${series} series x ${points} points`);
  if (coldRounds === 0) await measureWarm();
} finally {
  for (const peer of peers) await peer.stop();
  await server.stop();
}
try {
  if (coldRounds > 0) await measureAllCold();
} finally {
  if (flags.data === undefined) rmSync(directory, { recursive: true, force: true });
}

async function measureWarm(): Promise<void> {
  for (const one of cases) await measure(one);
  for (const peer of peers) console.log(`peak RSS ${peer.name}: ${(peer.rssPeakBytes() / MIB).toFixed(0)} MiB`);
  console.log(`peak RSS treasury: ${(server.rssPeakBytes() / MIB).toFixed(0)} MiB`);
  if (pauseSeconds > 0) await pauses();
}

async function measureAllCold(): Promise<void> {
  const { PROMETHEUS: prometheus } = process.env;
  if (prometheus === undefined) throw new Error('Cannot compare cold answers: PROMETHEUS is not set');
  await measureCold({
    cases,
    endMs,
    rounds: coldRounds,
    warmups: Number(flags.warmups),
    warmRounds: rounds,
    start: () => startServer([], join(directory, 'treasury')),
    startPeer: () => startPrometheus(prometheus, join(directory, 'prometheus')),
  });
}

/** What is sent and until when: what an earlier run did, if it is kept. */
function plan(file: string): { endMs: number; metrics: BenchMetric[]; isLoaded: boolean } {
  if (existsSync(file))
    return { ...(JSON.parse(readFileSync(file, 'utf8')) as { endMs: number; metrics: BenchMetric[] }), isLoaded: true };
  const needed = cases.flatMap((one) => one.metrics);
  if (pauseSeconds > 0) needed.push(LONG_METRIC);
  return { endMs: Math.floor(Date.now() / 60_000) * 60_000, metrics: [...new Set(needed)], isLoaded: false };
}

async function startPeers(): Promise<Peer[]> {
  const { PROMETHEUS: prometheus, VICTORIA_METRICS: victoria } = process.env;
  const started: Peer[] = [];
  if (prometheus !== undefined) started.push(await startPrometheus(prometheus, join(directory, 'prometheus')));
  if (victoria !== undefined) started.push(await startVictoriaMetrics(victoria, join(directory, 'victoria')));
  return started;
}

async function load(): Promise<void> {
  const samples = metrics.reduce((sum, one) => sum + samplesOf(one), 0);
  for (const [name, url] of [
    ['treasury', `http://${server.otlpHttp}/v1/metrics`],
    ...peers.map((peer) => [peer.name, peer.otlp]),
  ]) {
    const startedMs = performance.now();
    await send(url!);
    console.log(
      `${name}: took ${(samples / 1e6).toFixed(2)} M samples in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`,
    );
  }
  await materialized(server);
  await tableBytes(samples);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'plan.json'), JSON.stringify({ endMs, metrics }));
}

/** Requests of one time may pass each other; a series' own do not. */
async function send(url: string): Promise<void> {
  for (const bodies of requestsOf(metrics, endMs)) {
    const left = bodies[Symbol.iterator]();
    const sender = async (): Promise<void> => {
      for (let next = left.next(); next.done !== true; next = left.next()) await post(url, next.value);
    };
    await Promise.all(Array.from({ length: SENDERS }, sender));
  }
}

async function post(url: string, body: Buffer): Promise<void> {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/x-protobuf' }, body });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text}`);
}

async function tableBytes(samples: number): Promise<void> {
  const bytes = Number(await metric(server, 'treasury_table_bytes'));
  console.log(
    `tables: ${(bytes / samples).toFixed(2)} bytes a sample as they are right after, ${(bytes / MIB).toFixed(0)} MiB`,
  );
}

async function measure({ name, path, targetMs }: BenchCase): Promise<void> {
  const asked = path(endMs);
  const sides = [ours, ...peers.map(({ api }) => api)];
  const times = sides.map((): number[] => []);
  const answers = sides.map((): Answer | undefined => undefined);
  for (let round = -Number(flags.warmups); round < rounds; round++) {
    for (const [side, api] of sides.entries()) {
      const answer = await readAnswer(`${api}${asked}`, answers[side] === undefined);
      answers[side] ??= answer;
      if (round >= 0) times[side]!.push(answer.ms);
    }
    const reference = peers.findIndex((peer) => peer.name === PROMETHEUS) + 1;
    if (round === -Number(flags.warmups) && reference > 0) assertSameAnswers(name, answers[0]!, answers[reference]!);
  }
  const own = median(times[0]!);
  const others = peers.map((peer, at) => {
    const theirs = median(times[at + 1]!);
    const ratio = own / theirs;
    const verdict = peer.name !== PROMETHEUS ? '' : ratio <= RATIO_TARGET ? ' ok' : ` MISSES ${RATIO_TARGET}`;
    return `${peer.name} ${theirs.toFixed(1)} ms, ratio ${ratio.toFixed(2)}${verdict}`;
  });
  const target = targetMs === null ? '' : own <= targetMs ? ` (ok, target ${targetMs})` : ` (MISSES ${targetMs})`;
  const kib = ((answers[0]?.bytes ?? 0) / 1024).toFixed(0);
  console.log([`${name.padEnd(22)} ${own.toFixed(1)} ms${target}`, ...others, `${kib} KiB`].join('; '));
}

async function pauses(): Promise<void> {
  const long = async (): Promise<void> => void (await readAnswer(`${ours}${longPath(endMs)}`, false));
  await long();
  const idle = await measurePauses(server, pauseSeconds * 1000);
  const busy = await measurePauses(server, pauseSeconds * 1000, long);
  const longer = busy.commitGapMs - idle.commitGapMs;
  console.log(
    `longest time between commits of a steady load: ${idle.commitGapMs.toFixed(0)} ms, beside long queries ${busy.commitGapMs.toFixed(0)} ms: ` +
      `${longer.toFixed(0)} ms more${longer <= PAUSE_TARGET_MS ? ' (ok)' : ` (MISSES ${PAUSE_TARGET_MS})`}`,
  );
  console.log(
    `longest answer of the engine's thread: ${idle.answerMs.toFixed(0)} ms, beside long queries ${busy.answerMs.toFixed(0)} ms`,
  );
}
