import { createMetricsView } from '../../src/api/query/prometheus/create-view.ts';
import type { MetricsView } from '../../src/api/query/prometheus/metrics-view.ts';
import type { ViewSettings } from '../../src/api/query/prometheus/view-settings.ts';
import { type FloatHistogram, histogramsOf } from '../../src/api/query/promql/histogram.ts';
import { matcherTest } from '../../src/api/query/promql/regular-expression.ts';
import type { SampleSource, SelectedSeries, Selection } from '../../src/api/query/promql/source.ts';
import { LoadedState } from './loaded-state.ts';
import type { MetricsServer } from './metrics-server.ts';
import { otlpRequest } from './otlp-metrics.ts';
import { whyUnsayable } from './otlp-sayable.ts';
import type { ScriptStorage } from './run-script.ts';
import type { LoadedSeries, ScriptCommand } from './script.ts';

/** A label that every stored series has beside its own: which state of which script it belongs to. */
const STATE_LABEL = '__script_state__';
const STATE_LABELS: ReadonlySet<string> = new Set([STATE_LABEL]);

/** The view writes it for a zero bucket without width, which OTLP has no word for. */
const NO_ZERO_THRESHOLD = 1e-128;

/** Names and labels as they were sent. */
const AS_SENT: ViewSettings = {
  strategy: 'NoTranslation',
  promotedResourceAttributes: [],
  keepsIdentifyingAttributes: false,
  promotesScope: false,
  convertsHistograms: true,
  typeAndUnitLabels: false,
  lookbackMs: 300_000,
};

interface UnsayableSeries extends LoadedSeries {
  readonly reason: string;
}

/**
 * Scripts over storage, from end to end: what they load is sent as OTLP, received, logged, materialized, scanned, and seen as Prometheus sees it. What is loaded at
 * each evaluation is a state; all states of a script are sent at its beginning, since tables take rows once a second.
 */
export class StoredSource implements ScriptStorage {
  readonly #server: MetricsServer;
  readonly #view: MetricsView;
  /** Of the state at hand. */
  #unsayable: readonly UnsayableSeries[] = [];
  #state = 0;
  #statesSent = 0;
  /** Series of the states that are to come, by number. */
  readonly #states = new Map<number, readonly UnsayableSeries[]>();
  readonly #reasons = new Set<string>();
  /** Of the state at hand, by selection: most variants of an evaluation select the same. */
  readonly #answers = new Map<string, Promise<readonly SelectedSeries[]>>();
  /** Scans read no more than the range. The API shows no hints. */
  readonly seesBefore = false;
  readonly source: SampleSource = {
    select: async (selection, signal) => [...(await this.#select(selection, signal))],
  };

  constructor(server: MetricsServer) {
    this.#server = server;
    this.#view = createMetricsView(server.createScans(), AS_SENT);
  }

  async begin(commands: readonly ScriptCommand[]): Promise<void> {
    const loaded = new LoadedState();
    const requests: Uint8Array[] = [];
    this.#state = this.#statesSent;
    this.#unsayable = [];
    for (const command of commands) {
      if (command.kind === 'eval') continue;
      if (command.kind === 'clear') loaded.clear();
      else loaded.load(command);
      const state = ++this.#statesSent;
      const series = loaded.series().map((one) => ({ ...one, reason: whyUnsayable(one) }));
      this.#states.set(
        state,
        series.filter((one): one is UnsayableSeries => one.reason !== undefined),
      );
      const sayable = series.filter(({ reason }) => reason === undefined);
      if (sayable.length > 0) requests.push(otlpRequest(sayable, [STATE_LABEL, String(state)]));
    }
    await this.#server.send(requests);
  }

  load(): void {
    this.#next();
  }

  clear(): void {
    this.#next();
  }

  takeUnsayable(): readonly string[] {
    const reasons = [...this.#reasons];
    this.#reasons.clear();
    return reasons;
  }

  #next(): void {
    this.#state++;
    this.#answers.clear();
    this.#unsayable = this.#states.get(this.#state) ?? [];
  }

  #select(selection: Selection, signal: AbortSignal): Promise<readonly SelectedSeries[]> {
    this.#note(selection);
    const { matchers, fromMs, untilMs, samplesMax, withStartTimes } = selection;
    // Infinities have no form in JSON.
    const key = JSON.stringify([matchers, `${fromMs} ${untilMs} ${samplesMax} ${withStartTimes}`]);
    const answer = this.#answers.get(key) ?? this.#ask(selection, signal);
    this.#answers.set(key, answer);
    return answer;
  }

  async #ask(selection: Selection, signal: AbortSignal): Promise<readonly SelectedSeries[]> {
    const state = { name: STATE_LABEL, operator: '=' as const, value: String(this.#state) };
    const selected = await this.#view.select({ ...selection, matchers: [...selection.matchers, state] }, signal);
    return selected.map(({ labels, floats, histograms }) => ({
      labels: labels.drop(STATE_LABELS),
      floats,
      histograms: { ...histograms, values: histogramsOf(histograms.values).map(withoutZeroWidth) },
    }));
  }

  /** Keeps why a selection lacks samples. */
  #note({ matchers, fromMs, untilMs }: Selection): void {
    for (const { labels, samples, reason } of this.#unsayable) {
      const isInRange = samples.some(({ timeMs }) => timeMs >= fromMs && timeMs <= untilMs);
      if (isInRange && matchers.every((matcher) => matcherTest(matcher)(labels.get(matcher.name))))
        this.#reasons.add(reason);
    }
  }
}

function withoutZeroWidth(histogram: FloatHistogram): FloatHistogram {
  return histogram.zeroThreshold === NO_ZERO_THRESHOLD ? { ...histogram, zeroThreshold: 0 } : histogram;
}
