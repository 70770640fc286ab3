/** `GET /treasury/v1/log`: entries from an offset on, as they are in the log or decoded, to the end or on and on. */
import type { Context } from 'koa';
import { errorMessage, LIMITS, SIGNAL_CODES, SIGNALS, TreasuryError } from '../../base/index.ts';
import type { HttpServices } from '../http/services.ts';
import { writePaced } from './paced-answer.ts';
import { readParameters } from './parameters.ts';
import type { LogPull } from './pulls.ts';
import type { LogPullRequest } from './types.ts';

export const ARROW_STREAM_TYPE = 'application/vnd.apache.arrow.stream';

/** Serves one pull. Failures before the first byte are thrown; later ones cut the connection, so that no answer looks whole. */
export async function serveLogPull(context: Context, services: HttpServices): Promise<void> {
  const { log, pulls, logger } = services;
  const { res: response } = context;
  const request = readRequest(context, log.status());
  if (context.method === 'HEAD') {
    context.type = ARROW_STREAM_TYPE;
    return;
  }
  const place = pulls.enter('log');
  try {
    const abort = new AbortController();
    response.once('close', () => abort.abort());
    const pull = await pulls.pullLog(request, place, abort.signal);
    beginStream(context, { 'X-Treasury-From': String(request.from) });
    try {
      const end = await writePaced(response, pull.chunks, place, { onSent: (chunk) => pull.giveBack(chunk) });
      if (end === 'whole') response.end();
      else {
        if (end === 'stalled') {
          logger.warn('Pull cut: its client did not read', { afterMs: LIMITS.pullStallMaxMs, ...goOn(pull) });
        }
        response.destroy();
      }
    } catch (error) {
      if (!abort.signal.aborted) logger.warn('Pull cut', { ...reasonOf(error), ...goOn(pull) });
      response.destroy();
    }
  } finally {
    place.leave();
  }
}

/** Takes the response from koa and sends its head. */
export function beginStream(context: Context, headers: Readonly<Record<string, string>>): void {
  context.respond = false;
  context.req.socket.setKeepAlive(true, LIMITS.pullKeepAliveMs);
  context.res.writeHead(200, { 'Content-Type': ARROW_STREAM_TYPE, 'Cache-Control': 'no-store', ...headers });
  context.res.flushHeaders();
}

/** What a log line tells of a failure. */
export function reasonOf(error: unknown): Record<string, string | number | boolean> {
  if (!(error instanceof TreasuryError)) return { error: errorMessage(error) };
  return { code: error.code, error: error.message, ...error.facts };
}

function goOn(pull: LogPull): { readonly nextOffset: string } {
  return { nextOffset: String(pull.nextOffset) };
}

const PARAMETERS = ['from', 'limit', 'follow', 'signal', 'decoded'] as const;

function readRequest(
  context: Context,
  { firstOffset, durableOffset }: { readonly firstOffset: bigint; readonly durableOffset: bigint },
): LogPullRequest {
  const parameters = readParameters(context.URL.searchParams, PARAMETERS);
  const signal = parameters.text('signal');
  const code = SIGNALS.find((name) => name === signal);
  if (signal !== null && code === undefined) parameters.refuse('signal', SIGNALS.join(', '));
  const isEnd = parameters.text('from') === 'end';
  return {
    from: isEnd ? durableOffset : (parameters.number('from') ?? firstOffset),
    limit: parameters.number('limit', 1n),
    signal: code === undefined ? null : SIGNAL_CODES[code],
    follow: parameters.flag('follow'),
    decoded: parameters.flag('decoded'),
  };
}
