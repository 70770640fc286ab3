/** `GET /treasury/v1/tables/{view}`: rows by offset of their entry, as one Arrow stream out of many bounded statements. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from 'koa';
import { LIMITS, TreasuryError } from '../../base/index.ts';
import type { HttpServices } from '../http/services.ts';
import { END_OF_STREAM } from '../../log/index.ts';
import { ARROW_STREAM_TYPE, beginStream, reasonOf } from './log-route.ts';
import { writePaced } from './paced-answer.ts';
import { readParameters } from './parameters.ts';
import { patiently, readRange, rowsBehind, type ViewRange } from './view-ranges.ts';
import { refuseOtherTables, viewPlace, type ViewState, viewState } from './view-state.ts';
import { findView, type PulledView } from './views.ts';

interface TablePull {
  readonly view: PulledView;
  readonly from: bigint;
  /** First offset that is not wanted; null: none. */
  readonly to: bigint | null;
  readonly follow: boolean;
  /** Where an answer that does not follow ends. */
  readonly end: bigint;
  /** The view as it was when the answer began. */
  readonly begun: ViewState;
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
    const { from, end, begun } = pull;
    const { signal } = abort;
    const first = await readChecked(services, pull, { from, end, signal, rowsMax: LIMITS.pullRangeRowsMax });
    beginStream(context, {
      'X-Treasury-From': String(from),
      'X-Treasury-First': String(begun.firstOffset),
      ...(pull.follow ? {} : { 'X-Treasury-Next': String(end) }),
    });
    const progress = { nextOffset: from };
    try {
      const chunks = chunksOf(services, pull, { first, progress, signal });
      const outcome = await writePaced(response, chunks, place);
      if (outcome === 'stalled') {
        const afterMs = LIMITS.pullStallMaxMs;
        services.logger.warn('Pull cut: its client did not read', { view: name, afterMs, ...goOn(progress) });
      }
      if (outcome === 'whole') response.end();
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
  const begun = await viewState(services, view);
  const { nextOffset } = begun;
  const from = asked ?? nextOffset;
  if (from > nextOffset) throw outOfRange(view, from, begun);
  if (to !== null && to < from) parameters.refuse('to', `at least ${from}, where the answer begins`);
  if (to !== null && to > from && to <= begun.firstOffset && (await mayHaveLost(services, from))) {
    throw outOfRange(view, from, begun);
  }
  return { view, from, to, follow, end: to !== null && to < nextOffset ? to : nextOffset, begun };
}

function outOfRange({ name }: PulledView, from: bigint, { firstOffset, nextOffset }: ViewState): TreasuryError {
  return new TreasuryError(
    'TREASURY_OFFSET_OUT_OF_RANGE',
    `Cannot read from offset ${from}: view ${name} holds ${firstOffset} to ${nextOffset} (exclusive)`,
    { facts: { requested: String(from), firstOffset: String(firstOffset), nextOffset: String(nextOffset) } },
  );
}

/** Whether rows from `from` on may have been removed, or were never made: without that, entries without rows are nothing to tell of. */
async function mayHaveLost({ engine }: Pick<HttpServices, 'engine'>, from: bigint): Promise<boolean> {
  const { retention, projections } = await engine.status();
  return retention.ageMs !== null || projections.some(({ firstOffset }) => firstOffset > from);
}

/** A range of the tables that the answer was begun with. */
async function readChecked(
  services: HttpServices,
  { view, begun }: Pick<TablePull, 'view' | 'begun'>,
  { rowsMax, ...options }: Omit<Parameters<typeof readRange>[2], 'limits'> & { readonly rowsMax: number },
): Promise<ViewRange> {
  const { signal } = options;
  const range = await readRange(services, view, { ...options, limits: { rowsMax } });
  refuseOtherTables(view, begun, await patiently(() => viewPlace(services, view), signal), range.to);
  return range;
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
  let { end } = pull;
  let rowsMax: number = LIMITS.pullRangeRowsMax;
  for (;;) {
    yield* range.batches;
    progress.nextOffset = range.to;
    while (range.to >= end && pull.follow && end !== pull.to) {
      await sleep(LIMITS.pullTablesIntervalMs, undefined, { signal });
      end = await patientOffset(services, pull, end);
    }
    if (range.to >= end) break;
    rowsMax = rowsBehind(range, rowsMax);
    range = await readChecked(services, pull, { from: range.to, end, signal, rowsMax });
    if (Buffer.compare(range.schema, first.schema) !== 0) {
      throw new TreasuryError('TREASURY_STORE', `Cannot go on: the columns of ${pull.view.name} have changed`);
    }
  }
  yield END_OF_STREAM;
}

/** How far a pull that follows may read now. An engine that starts again is waited for. */
async function patientOffset(services: HttpServices, { view, to }: TablePull, end: bigint): Promise<bigint> {
  try {
    const { nextOffset: offset } = await viewPlace(services, view);
    return to !== null && to < offset ? to : offset;
  } catch (error) {
    if (error instanceof TreasuryError && error.retryable) return end;
    throw error;
  }
}
