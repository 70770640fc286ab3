/** How long materialization stands still, with and without queries beside it: a small steady load, and when its entries come into the tables. */
import { requestsAt } from './promql-data.ts';
import { type Server, sleep, status } from './process.ts';

const SEND_INTERVAL_MS = 20;
const LOOK_INTERVAL_MS = 5;
const STEADY = { name: 'bench_steady', kind: 'gauge', series: 10, points: 1 } as const;

export interface Pauses {
  /** The longest time between two commits. */
  readonly commitGapMs: number;
  /** The longest time that the engine's thread took to answer a question about its state. */
  readonly answerMs: number;
}

/** Measures for some time, while `busy` is done again and again. */
export async function measurePauses(server: Server, forMs: number, busy?: () => Promise<void>): Promise<Pauses> {
  const endMs = performance.now() + forMs;
  const isOver = (): boolean => performance.now() >= endMs;
  const figures = { commitGapMs: 0, answerMs: 0 };
  const send = async (): Promise<void> => {
    for (let round = 0; !isOver(); round++) {
      for (const body of requestsAt(STEADY, Date.now(), round)) {
        await fetch(`http://${server.otlpHttp}/v1/metrics`, { method: 'POST', headers: PROTOBUF, body });
      }
      await sleep(SEND_INTERVAL_MS);
    }
  };
  const look = async (): Promise<void> => {
    let seen = -1;
    let seenAtMs = performance.now();
    while (!isOver()) {
      const askedMs = performance.now();
      const { materializedOffset } = await status(server.http);
      const nowMs = performance.now();
      figures.answerMs = Math.max(figures.answerMs, nowMs - askedMs);
      if (materializedOffset !== seen) {
        // The first commit seen ends a gap whose begin was not.
        if (seen !== -1) figures.commitGapMs = Math.max(figures.commitGapMs, nowMs - seenAtMs);
        [seen, seenAtMs] = [materializedOffset, nowMs];
      }
      await sleep(LOOK_INTERVAL_MS);
    }
  };
  const work = async (): Promise<void> => {
    while (busy !== undefined && !isOver()) await busy();
  };
  await Promise.all([send(), look(), work()]);
  return figures;
}

const PROTOBUF = { 'content-type': 'application/x-protobuf' };
