import type { MetricScans } from '../../../materialize/index.ts';
import { TreasuryError } from '../../../base/index.ts';
import { StoredIndex } from './stored-index.ts';
import type { ViewSettings } from './view-settings.ts';

/** Series held in the index at most: each takes about a kilobyte with its labels. */
const SERIES_MAX = 1_000_000;

/** Keeps the index of series up with the store: each call sees what was stored when it was made. */
export class IndexKeeper {
  readonly #scans: MetricScans;
  readonly #settings: ViewSettings;
  #index: StoredIndex;
  /** The refresh that runs, and the one that begins behind it for all who asked meanwhile. */
  #running: Promise<unknown> = Promise.resolve();
  #waiting: Promise<StoredIndex> | undefined;

  constructor(scans: MetricScans, settings: ViewSettings) {
    this.#scans = scans;
    this.#settings = settings;
    this.#index = new StoredIndex(settings);
  }

  /** The index with everything in it that is stored now. Throws TREASURY_QUERY_LIMIT when there are too many series. */
  current(signal: AbortSignal): Promise<StoredIndex> {
    signal.throwIfAborted();
    this.#waiting ??= this.#refreshNext();
    return unlessAborted(this.#waiting, signal);
  }

  async #refreshNext(): Promise<StoredIndex> {
    const before = this.#running;
    const own = (async () => {
      await before.catch(() => undefined);
      this.#waiting = undefined;
      return this.#refresh();
    })();
    this.#running = own;
    return own;
  }

  async #refresh(): Promise<StoredIndex> {
    await this.#takeChanges();
    if (this.#index.kinds.length <= SERIES_MAX) return this.#index;
    // Series whose points are gone by now are still counted: look at those that are left.
    this.#scans.forget();
    this.#index = new StoredIndex(this.#settings);
    await this.#takeChanges();
    if (this.#index.kinds.length > SERIES_MAX) throw tooManySeries();
    return this.#index;
  }

  /** Not ended with the one who asked: others may wait for it. */
  async #takeChanges(): Promise<void> {
    const { series, activity, isWhole, beginnings } = await this.#scans.changes(new AbortController().signal);
    if (isWhole === true) this.#index.clearActivity();
    if (beginnings !== undefined) this.#index.cutActivity(beginnings);
    this.#index.addSeries(series);
    for (const chunk of activity) this.#index.addActivity(chunk);
  }
}

/** Others may wait for the same: it goes on without the one who left. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let leave!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason as Error);
    signal.addEventListener('abort', leave, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

function tooManySeries(): TreasuryError {
  return new TreasuryError('TREASURY_QUERY_LIMIT', `Cannot read the series: there are more than ${SERIES_MAX}`, {
    facts: { seriesMax: SERIES_MAX },
  });
}
