/** Reads answers as a client does that does nothing with them, and compares those of two servers. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { Agent, get, type IncomingMessage } from 'node:http';

/** Relative, of values. */
const DIFFERENCE_MAX = 1e-9;
const agent = new Agent({ keepAlive: true });

export interface Answer {
  /** From the request to the last byte. */
  readonly ms: number;
  readonly bytes: number;
  /** Its `data`, when it was asked for. */
  readonly data: unknown;
}

/** Throws on any answer but a success. */
export async function readAnswer(url: string, withData: boolean): Promise<Answer> {
  const startedMs = performance.now();
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, { agent }, resolve).on('error', reject);
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (withData || response.statusCode !== 200) chunks.push(chunk);
  }
  const ms = performance.now() - startedMs;
  if (response.statusCode !== 200)
    throw new Error(`${url} answered ${response.statusCode}: ${Buffer.concat(chunks).toString()}`);
  if (!withData) return { ms, bytes, data: undefined };
  return { ms, bytes, data: (JSON.parse(Buffer.concat(chunks).toString()) as { data: unknown }).data };
}

type Sample = readonly [number, string];

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values?: readonly Sample[];
  readonly value?: Sample;
}

/** Throws unless both have the same series with the same times, and values that are nearly the same. */
export function assertSameAnswers(name: string, left: Answer, right: Answer): void {
  const ours = seriesByKey(left.data);
  const theirs = seriesByKey(right.data);
  if (ours === null || theirs === null) {
    assert.deepEqual(left.data, right.data, name);
    return;
  }
  assert.ok(ours.size > 0, `${name}: the answer is empty`);
  assert.deepEqual([...ours.keys()].sort(), [...theirs.keys()].sort(), name);
  for (const [key, samples] of ours) {
    const others: readonly Sample[] = theirs.get(key)!;
    assert.equal(samples.length, others.length, `${name} ${key}`);
    samples.forEach(([time, value], at) => {
      const [otherTime, otherValue] = others[at]!;
      assert.equal(time, otherTime, `${name} ${key}`);
      assert.ok(isNear(Number(value), Number(otherValue)), `${name} ${key} at ${time}: ${value}, not ${otherValue}`);
    });
  }
}

/** Null: a list of names or values. */
function seriesByKey(data: unknown): Map<string, readonly Sample[]> | null {
  if (Array.isArray(data)) return null;
  const { result } = data as { readonly result: readonly Series[] };
  return new Map(
    result.map(({ metric, value, values }) => [
      JSON.stringify(
        Object.entries(metric)
          .map((pair) => pair.join('='))
          .sort(),
      ),
      value === undefined ? values! : [value],
    ]),
  );
}

function isNear(left: number, right: number): boolean {
  return left === right || Math.abs(left - right) <= DIFFERENCE_MAX * Math.max(Math.abs(left), Math.abs(right));
}
