/** `GET /treasury/v1/tables/{view}`: rows by offset of their entry, as one Arrow stream out of many bounded statements. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from 'koa';
import { LIMITS, OffsetOutOfRangeError, TreasuryError } from '../../base/index.ts';
import type { HttpServices } from '../http/services.ts';
import { END_OF_STREAM } from '../../log/index.ts';
import { ARROW_STREAM_TYPE, beginStream, reasonOf } from './log-route.ts';
import { writePaced } from './paced-answer.ts';
import { readParameters } from './parameters.ts';
import { readRange, type ViewRange } from './view-ranges.ts';
import { findView, type PulledView } from './views.ts';

interface TablePull {
  readonly view: PulledView;
  readonly from: bigint;
  /** First offset that is not wanted; null: none. */
  readonly to: bigint | null;
  readonly follow: boolean;
  /** Where an answer that does not follow ends. */
  readonly end: bigint;
}

const PARAMETERS = ['from', 'to', 'follow', 'columns'] as const;

/** Serves one pull. Failures before the first byte are thrown; later ones cut the connection, so that no answer looks whole. */
export async function serveTablePull(context: Context, name: string, services: HttpServices): Promise<void> {
  const { res: response } = context;
  const place = services.pulls.enter('tables');
  const abort = new AbortController();
  response.once('close', () => abort.abort());
  try {
    const pull = await readPull(context, name, services);
    if (context.method === 'HEAD') {
      context.type = ARROW_STREAM_TYPE;
      return;
    }
    // Before the head: a statement that fails is answered with its status.
    const first = await readRange(services, pull.view, { from: pull.from, end: pull.end, signal: abort.signal });
    beginStream(context, {
      'X-Treasury-From': String(pull.from),
      ...(pull.follow ? {} : { 'X-Treasury-Next': String(pull.end) }),
    });
    const progress = { nextOffset: first.to };
    try {
      const chunks = chunksOf(services, pull, { first, progress, signal: abort.signal });
      const end = await writePaced(response, chunks, place);
      if (end === 'stalled') {
        const afterMs = LIMITS.pullStallMaxMs;
        services.logger.warn('Pull cut: its client did not read', { view: name, afterMs, ...goOn(progress) });
      }
      if (end === 'whole') response.end();
      else response.destroy();
    } catch (error) {
      if (!abort.signal.aborted) {
        services.logger.warn('Pull cut', { view: name, ...reasonOf(error), ...goOn(progress) });
      }
      response.destroy();
    }
  } finally {
    place.leave();
  }
}

function goOn({ nextOffset }: { readonly nextOffset: bigint }): { readonly nextOffset: string } {
  return { nextOffset: String(nextOffset) };
}

async function readPull(context: Context, name: string, services: HttpServices): Promise<TablePull> {
  const parameters = readParameters(context.URL.searchParams, PARAMETERS);
  const columns = parameters.text('columns');
  const names = columns === null ? null : columns.split(',');
  if (names !== null && new Set(names).size < names.length) parameters.refuse('columns', 'names that differ');
  const follow = parameters.flag('follow');
  const to = parameters.number('to');
  const isEnd = parameters.text('from') === 'end';
  const asked = isEnd ? null : (parameters.number('from') ?? 0n);
  const view = await findView(services, name, names);
  const nextOffset = await offsetOf(services, view);
  const from = asked ?? nextOffset;
  if (from > nextOffset) throw new OffsetOutOfRangeError(from, 0n, nextOffset);
  if (to !== null && to < from) parameters.refuse('to', `at least ${from}, where the answer begins`);
  return { view, from, to, follow, end: to !== null && to < nextOffset ? to : nextOffset };
}

/** All entries below are in the view. */
async function offsetOf({ engine }: Pick<HttpServices, 'engine'>, { name }: PulledView): Promise<bigint> {
  const { materializedOffset, userProjections } = await engine.status();
  const table = name.replace(/^main\./, '');
  const own = userProjections.find((projection) => projection.name === table)?.materializedOffset;
  return own !== undefined && own < materializedOffset ? own : materializedOffset;
}

interface ChunksState {
  readonly first: ViewRange;
  /** Where a client that loses its connection goes on. */
  readonly progress: { nextOffset: bigint };
  readonly signal: AbortSignal;
}

async function* chunksOf(
  services: HttpServices,
  pull: TablePull,
  { first, progress, signal }: ChunksState,
): AsyncGenerator<Uint8Array> {
  yield first.schema;
  let range = first;
  let end = pull.end;
  for (;;) {
    yield* range.batches;
    progress.nextOffset = range.to;
    while (range.to >= end && pull.follow && end !== pull.to) {
      await sleep(LIMITS.pullTablesIntervalMs, undefined, { signal });
      end = await patientOffset(services, pull, end);
    }
    if (range.to >= end) break;
    range = await readRange(services, pull.view, { from: range.to, end, signal });
    if (Buffer.compare(range.schema, first.schema) !== 0) {
      throw new TreasuryError('TREASURY_STORE', `Cannot go on: the columns of ${pull.view.name} have changed`);
    }
  }
  yield END_OF_STREAM;
}

/** How far a pull that follows may read now. An engine that starts again is waited for. */
async function patientOffset(services: HttpServices, { view, to }: TablePull, end: bigint): Promise<bigint> {
  try {
    const offset = await offsetOf(services, view);
    return to !== null && to < offset ? to : offset;
  } catch (error) {
    if (error instanceof TreasuryError && error.retryable) return end;
    throw error;
  }
}
