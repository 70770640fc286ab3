import type { Labels } from '../../src/api/query/promql/labels.ts';
import { nhcbSeries } from './nhcb.ts';
import type { LoadCommand, LoadedSeries, ScriptSample } from './script.ts';

interface SeriesByTime {
  readonly labels: Labels;
  readonly samples: Map<number, ScriptSample>;
}

/** What a script has loaded: of samples of one series at one time, the last one. */
export class LoadedState {
  readonly #series = new Map<string, SeriesByTime>();

  load(command: LoadCommand): void {
    for (const series of command.series) this.#add(series);
    if (command.withNhcb) for (const series of nhcbSeries(command.series)) this.#add(series);
  }

  clear(): void {
    this.#series.clear();
  }

  /** Every series with its samples by time. */
  series(): LoadedSeries[] {
    return [...this.#series.values()].map(({ labels, samples }) => ({
      labels,
      samples: [...samples.values()].sort((left, right) => left.timeMs - right.timeMs),
    }));
  }

  #add({ labels, samples }: LoadedSeries): void {
    let known = this.#series.get(labels.key);
    if (known === undefined) {
      known = { labels, samples: new Map() };
      this.#series.set(labels.key, known);
    }
    for (const sample of samples) known.samples.set(sample.timeMs, sample);
  }
}
