import type { MetricScans } from '../../../materialize/index.ts';
import { TreasuryError } from '../../../base/index.ts';
import { StoredIndex } from './stored-index.ts';
import type { ViewSettings } from './view-settings.ts';

/** Series held in the index at most: each takes about a kilobyte with its labels. */
const SERIES_MAX = 1_000_000;

/** How often a store may begin a new epoch while it is being read before the reader gives up. */
const EPOCH_CHANGES_MAX = 8;

/** Keeps the index of series up with the store: each call sees what was stored when it was made. */
export class IndexKeeper {
  readonly #scans: MetricScans;
  readonly #settings: ViewSettings;
  #index: StoredIndex;
  #activityOffset = 0n;
  /** The refresh that runs, and the one that begins behind it for all who asked meanwhile. */
  #running: Promise<unknown> = Promise.resolve();
  #waiting: Promise<StoredIndex> | undefined;

  constructor(scans: MetricScans, settings: ViewSettings) {
    this.#scans = scans;
    this.#settings = settings;
    this.#index = new StoredIndex('', settings);
  }

  /** The index with everything in it that is stored now. Throws TREASURY_QUERY_LIMIT when there are too many series. */
  current(signal: AbortSignal): Promise<StoredIndex> {
    signal.throwIfAborted();
    this.#waiting ??= this.#refreshNext();
    return this.#waiting;
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

  /** Not ended with the one who asked: others may wait for it, and what was read stays read. */
  async #refresh(): Promise<StoredIndex> {
    const { signal } = new AbortController();
    for (let change = 0; change < EPOCH_CHANGES_MAX; change++) {
      if ((await this.#readSeries(signal)) && (await this.#readActivity(signal))) return this.#index;
    }
    throw new TreasuryError('TREASURY_ENGINE_UNAVAILABLE', 'Cannot read the series: tables are being replaced', {
      retryable: true,
    });
  }

  /** False when the epoch is another one and reading has to begin again. */
  async #readSeries(signal: AbortSignal): Promise<boolean> {
    for await (const chunk of this.#scans.series({ fromOrdinal: this.#index.stored.length, signal })) {
      if (chunk.epoch !== this.#index.epoch || chunk.firstOrdinal !== this.#index.stored.length) {
        const isFresh = chunk.firstOrdinal === 0;
        this.#index = new StoredIndex(chunk.epoch, this.#settings);
        this.#activityOffset = 0n;
        if (!isFresh) return false;
      }
      if (this.#index.stored.length + chunk.series.length > SERIES_MAX) throw tooManySeries();
      this.#index.addSeries(chunk.series);
    }
    return true;
  }

  async #readActivity(signal: AbortSignal): Promise<boolean> {
    const { epoch } = this.#index;
    for await (const chunk of this.#scans.activity({ epoch, fromOffset: this.#activityOffset, signal })) {
      if (chunk.epoch !== epoch) return false;
      this.#index.addActivity(chunk);
      this.#activityOffset = chunk.nextOffset;
    }
    return true;
  }
}

function tooManySeries(): TreasuryError {
  return new TreasuryError('TREASURY_QUERY_LIMIT', `Cannot read the series: there are more than ${SERIES_MAX}`, {
    facts: { seriesMax: SERIES_MAX },
  });
}
