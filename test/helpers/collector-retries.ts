/** What the log of a Collector says of requests that its exporters sent again. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Signal } from '../../src/base/index.ts';
import type { Collector } from './collector.ts';
import { untilQuiet, untilRows } from './collector-tables.ts';
import type { ServerProcess } from './server-process.ts';

const FAILED = /Exporting failed.*|Partial success.*/g;
const RETRY = /^Exporting failed\. Will retry the request after interval\.\s*(\{.*\})/;
/** A disk that is slow: the server answers after `appendWaitMaxMs`, or the exporter has waited long enough. */
const LATE = /not durable after \d+ ms|the disk took nothing for \d+ ms|HTTP Status Code 503|deadline exceeded/i;

/**
 * Requests that a Collector said it would send again because their answer came late, and how long it waits at the most before it does, in
 * milliseconds. Fails when anything else went wrong with a request.
 */
export function retriesOf(log: string): { count: number; waitMaxMs: number } {
  const waitsMs = (log.match(FAILED) ?? []).map((line) => {
    const [, text] = RETRY.exec(line) ?? [];
    assert.ok(text !== undefined, `The Collector gave up a request: ${line}`);
    const { error, interval } = JSON.parse(text) as { error: string; interval: string };
    assert.match(error, LATE, 'The Collector was refused for another reason than a slow disk');
    return milliseconds(interval);
  });
  return { count: waitsMs.length, waitMaxMs: Math.max(0, ...waitsMs) };
}

/**
 * Waits until as many rows as were sent are in the tables and nothing is on its way any more, also not what was to be sent again; returns
 * how many requests were.
 */
export async function untilAllSent(
  collector: Collector,
  server: ServerProcess,
  sent: Record<Signal, number>,
): Promise<number> {
  await untilRows(server, sent);
  for (let known = 0; ; ) {
    await untilQuiet(server);
    const { count, waitMaxMs } = retriesOf(collector.log());
    if (count === known && (await isIdle(server))) return count;
    known = count;
    await sleep(waitMaxMs);
  }
}

/** Whether the disk has all that came in. */
async function isIdle(server: ServerProcess): Promise<boolean> {
  const metrics = await (await fetch(`http://${server.http}/metrics`)).text();
  return /^treasury_log_in_flight_bytes 0$/m.test(metrics);
}

/** Of a duration as Go writes it: `1m2.5s`, `750ms`. */
function milliseconds(duration: string): number {
  const unitsMs = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, µs: 1e-3, ns: 1e-6 } as const;
  const parts = [...duration.matchAll(/([\d.]+)(ms|µs|ns|h|m|s)/g)];
  assert.equal(parts.map(([part]) => part).join(''), duration, 'not a duration');
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * unitsMs[unit as keyof typeof unitsMs], 0);
}
