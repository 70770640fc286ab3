/** How fast a server answers that has not read anything yet: both are started anew before each question. */
import { type Answer, readAnswer } from './promql-answers.ts';
import type { BenchCase } from './promql-cases.ts';
import type { Peer } from './promql-peers.ts';
import { materialized, median, type Server } from './process.ts';

export interface ColdOptions {
  readonly cases: readonly BenchCase[];
  readonly endMs: number;
  /** Starts, each with one cold answer. */
  readonly rounds: number;
  /** Answers that are not counted before the warm ones, and how many of these there are; all behind the cold one of the last start. */
  readonly warmups: number;
  readonly warmRounds: number;
  readonly start: () => Promise<Server>;
  /** Resolves when it answers: behind the replay of its log. */
  readonly startPeer: () => Promise<Peer>;
}

const MIB = 2 ** 20;
/** Has the index of series read, and no points. */
const LABELS = '/labels';

/** Prints a line for the first request of all, which reads the index of series, and one for each case. */
export async function measureCold(options: ColdOptions): Promise<void> {
  const { cases, endMs, rounds } = options;
  const first = [[], []] as [number[], number[]];
  for (const one of cases) {
    const cold = [[], []] as [number[], number[]];
    let line = '';
    for (let round = 0; round < rounds; round++) {
      const server = await options.start();
      const peer = await options.startPeer();
      try {
        await materialized(server);
        const sides = [`http://${server.http}/api/v1`, peer.api];
        for (const [side, api] of sides.entries()) {
          first[side]!.push((await readAnswer(`${api}${LABELS}`, false)).ms);
          cold[side]!.push((await readAnswer(`${api}${one.path(endMs)}`, false)).ms);
        }
        if (round + 1 === rounds) {
          const coldRss = server.rssPeakBytes();
          const peerRss = peer.rssPeakBytes();
          const warm = await warmTimes(sides, one.path(endMs), options);
          line = `${ratioOf(cold)}; warm ${ratioOf(warm)}; peak RSS behind the cold one ${mib(coldRss)}, of ${peer.name} ${mib(peerRss)}`;
        }
      } finally {
        await peer.stop();
        await server.stop();
      }
    }
    console.log(`${one.name.padEnd(22)} cold ${line}`);
  }
  console.log(`${'first request'.padEnd(22)} cold ${ratioOf(first)}`);
}

async function warmTimes(
  sides: readonly string[],
  path: string,
  { warmups, warmRounds }: ColdOptions,
): Promise<[number[], number[]]> {
  const times = [[], []] as [number[], number[]];
  for (let round = -warmups; round < warmRounds; round++) {
    for (const [side, api] of sides.entries()) {
      const { ms }: Answer = await readAnswer(`${api}${path}`, false);
      if (round >= 0) times[side]!.push(ms);
    }
  }
  return times;
}

function ratioOf([ours, theirs]: readonly [number[], number[]]): string {
  const [own, other] = [median(ours), median(theirs)];
  return `${own.toFixed(1)} ms of ${other.toFixed(1)}, ratio ${(own / other).toFixed(2)}`;
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(0)} MiB`;
}
