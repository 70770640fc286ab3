/** Entries of a running server's log as they come, over as many connections as it takes. */
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { text } from 'node:stream/consumers';
import { errorMessage, LIMITS, type Signal, TreasuryError } from '../base/index.ts';
import { createEntryStreamReader, type EntryStreamReader, type LogEntry } from '../log/index.ts';

export interface PullRequest {
  readonly server: string;
  readonly from: bigint | 'start' | 'end';
  readonly limit: number | null;
  readonly signal: Signal | null;
  readonly follow: boolean;
}

/** One answer of the server. */
export interface PullConnection {
  /** The first entry that was asked for; lower ones are there for their state alone. */
  readonly from: bigint;
  readonly body: AsyncIterable<Buffer>;
  close(): void;
}

/** What came at a time. */
export interface PulledEntries {
  readonly logUuid: string;
  /** Of the connection that they came over. */
  readonly from: bigint;
  /** Grows by one with every connection: what decoding needs comes anew then. */
  readonly connection: number;
  /** Valid until the next are asked for. */
  readonly entries: readonly LogEntry[];
  /** Everything below has come. */
  readonly nextOffset: bigint;
}

export interface PullStream {
  /** Null when nothing came for a while. Ends when all has come, or with `stop`. */
  readonly parts: AsyncGenerator<PulledEntries | null, void, undefined>;
  /** Asks for entries from an offset on again, with what decoding them needs; `undone` of them have come already. */
  goBackTo(offset: bigint, undone: number): void;
}

export interface PullStreamOptions {
  readonly stop: AbortSignal;
  /** Called before each wait for a server that is gone. */
  readonly onRetry: (reason: string, waitMs: number) => void;
  /** Called for entries that the server's log has lost. */
  readonly onGap: (from: bigint, to: bigint, reason: string) => void;
}

/** How often somebody who waits for entries hears that there are none. */
const IDLE_MS = 500;

/** Asks the server for entries. Throws TreasuryError: not retryable when it refuses, retryable when it is not there. */
export async function connectPull(request: PullRequest, stop: AbortSignal): Promise<PullConnection> {
  const { server, from, limit, signal, follow } = request;
  const url = new URL(`${server}/treasury/v1/log`);
  if (from !== 'start') url.searchParams.set('from', String(from));
  if (limit !== null) url.searchParams.set('limit', String(limit));
  if (signal !== null) url.searchParams.set('signal', signal);
  if (follow) url.searchParams.set('follow', 'true');
  const response = await get(url, stop);
  if (response.statusCode !== 200) throw await refusal(response);
  const begin = String(response.headers['x-treasury-from']);
  if (!/^\d+$/.test(begin)) {
    response.destroy();
    throw new TreasuryError('TREASURY_CONFIG', `Cannot pull from ${url.origin}: what answers there is no treasury`);
  }
  response.socket.setKeepAlive(true, LIMITS.pullKeepAliveMs);
  return {
    from: BigInt(begin),
    body: response,
    close: () => void response.destroy(),
  };
}

/** Pulls entries, going on where a connection broke. Throws TreasuryError when the server refuses or stays away. */
export function pullEntries(request: PullRequest, { stop, onRetry, onGap }: PullStreamOptions): PullStream {
  let from = request.from;
  let left = request.limit;
  let wanted: bigint | null = null;
  let connections = 0;
  let failures = 0;

  async function* parts(): AsyncGenerator<PulledEntries | null, void, undefined> {
    for (;;) {
      let reason: string;
      try {
        if (yield* oneConnection()) return;
        if (wanted !== null) {
          from = wanted;
          wanted = null;
          continue;
        }
        reason = 'the server ended the answer before its end';
      } catch (error) {
        if (stop.aborted) return;
        if (error instanceof TreasuryError && !error.retryable) throw error;
        reason = errorMessage(error);
      }
      if (stop.aborted) return;
      if (++failures > LIMITS.pullRetriesMax && !request.follow) {
        throw new TreasuryError(
          'TREASURY_CONFIG',
          `Cannot go on: ${failures} tries in a row brought nothing, ${reason}`,
        );
      }
      const waitMs = Math.min(LIMITS.pullRetryMaxMs, LIMITS.pullRetryMinMs * 2 ** Math.min(failures - 1, 16));
      onRetry(reason, waitMs);
      await sleep(waitMs, undefined, { signal: stop }).catch(() => {});
      if (stop.aborted) return;
    }
  }

  /** Answers whether all has come. */
  async function* oneConnection(): AsyncGenerator<PulledEntries | null, boolean, undefined> {
    const connection = await connectPull({ ...request, from, limit: left }, stop);
    // Where nothing came before, what was meant by start and end is settled by the first answer.
    const begin = connection.from;
    from = begin;
    const reader = createEntryStreamReader();
    const number = connections++;
    try {
      for await (const chunk of withPauses(connection.body)) {
        if (chunk === null) {
          yield null;
        } else {
          const part = take(reader, chunk, begin);
          if (part !== null) yield { ...part, from: begin, connection: number };
        }
        if (wanted !== null) return false;
      }
    } finally {
      connection.close();
    }
    return stop.aborted || reader.isEnded || left === 0;
  }

  function take(reader: EntryStreamReader, chunk: Buffer, begin: bigint) {
    const gaps = reader.gaps.length;
    const entries = reader.push(chunk);
    for (const gap of reader.gaps.slice(gaps)) onGap(gap.from, gap.to, gap.reason);
    if (reader.logUuid === null) return null;
    const told = reader.nextOffset ?? begin;
    const nextOffset = told > begin ? told : begin;
    if (nextOffset > begin) failures = 0;
    if (left !== null) left -= entries.filter(({ offset }) => offset >= begin).length;
    from = nextOffset;
    return { logUuid: reader.logUuid, entries, nextOffset };
  }

  return {
    parts: parts(),
    goBackTo(offset, undone) {
      wanted = offset;
      if (left !== null) left += undone;
    },
  };
}

/** What comes, and null whenever nothing came for a while. */
async function* withPauses(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer | null, void, undefined> {
  const iterator = body[Symbol.asyncIterator]();
  for (;;) {
    const next = iterator.next();
    // Whoever leaves during a pause closes the connection, and nobody is there for what that throws.
    next.catch(() => {});
    let result: IteratorResult<Buffer> | null = null;
    while (result === null) {
      const timer = new AbortController();
      const pause = sleep(IDLE_MS, null, { signal: timer.signal }).catch(() => null);
      result = await Promise.race([next, pause]);
      timer.abort();
      if (result === null) yield null;
    }
    if (result.done === true) return;
    yield result.value;
  }
}

function get(url: URL, stop: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, { signal: stop }, resolve);
    request.once('error', (cause) => {
      const message = `Cannot reach ${url.origin}: ${errorMessage(cause)}`;
      reject(new TreasuryError('TREASURY_CONFIG', message, { cause, retryable: true }));
    });
    request.end();
  });
}

async function refusal(response: IncomingMessage): Promise<TreasuryError> {
  const status = response.statusCode ?? 0;
  const body = await text(response).catch(() => '');
  let message = `The server answered ${status}: ${body}`;
  let facts: Record<string, string | number | boolean> = {};
  try {
    const { error } = JSON.parse(body) as { error: { code: string; message: string } };
    const { code: _, ...more } = error;
    message = error.message;
    facts = more;
  } catch {
    // Not an answer of ours: its text tells.
  }
  const code = status === 416 ? 'TREASURY_OFFSET_OUT_OF_RANGE' : 'TREASURY_CONFIG';
  return new TreasuryError(code, message, { facts, retryable: status >= 500 });
}
