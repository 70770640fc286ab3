import type { PositionRange } from './ast.ts';
import { formatShort } from './format-float.ts';
import { quoted, withName } from './messages.ts';
import { formatPosition } from './parse-error.ts';

/**
 * What an evaluation has to say beside its result, in upstream's words (util/annotations). Equal messages are one, placed where the last of them
 * arose; those that count or measure add up.
 */
export class Annotations {
  readonly #warnings = new Map<string, Annotation>();
  readonly #infos = new Map<string, Annotation>();

  /** `message` without position. */
  warn(message: string, at: PositionRange): void {
    this.#warnings.set(message, { at, detail: undefined });
  }

  inform(message: string, at: PositionRange): void {
    this.#infos.set(message, { at, detail: undefined });
  }

  /** Start times that overlap are counted, once for a window. */
  warnOfOverlap(metricName: string, at: PositionRange): void {
    const message = `PromQL warning: sample has start time that overlaps with previous sample timestamp for metric ${quoted(metricName)}`;
    const before = this.#warnings.get(message)?.detail;
    const count = before?.kind === 'overlap' ? before.count + 1 : 1;
    this.#warnings.set(message, { at, detail: { kind: 'overlap', count } });
  }

  /** Buckets of a classic histogram that were held, because their counts fell: how far and when is summed up. */
  informOfRepair(metricName: string, at: PositionRange, repair: Repair): void {
    const message = withName(REPAIR_MESSAGE, metricName);
    const before = this.#infos.get(message)?.detail;
    this.#infos.set(message, {
      at,
      detail: { kind: 'repair', ...(before?.kind === 'repair' ? joined(before, repair) : repair) },
    });
  }

  warnings(text: string): string[] {
    return render(this.#warnings, text);
  }

  infos(text: string): string[] {
    return render(this.#infos, text);
  }
}

/** What was repaired in the buckets of a classic histogram. */
export interface Repair {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly lowestBound: number;
  readonly highestBound: number;
  readonly largestFall: number;
  readonly count: number;
}

interface Annotation {
  readonly at: PositionRange;
  readonly detail: ({ kind: 'repair' } & Repair) | { kind: 'overlap'; count: number } | undefined;
}

const REPAIR_MESSAGE =
  'PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)';

function joined(left: Repair, right: Repair): Repair {
  return {
    fromMs: Math.min(left.fromMs, right.fromMs),
    untilMs: Math.max(left.untilMs, right.untilMs),
    lowestBound: Math.min(left.lowestBound, right.lowestBound),
    highestBound: Math.max(left.highestBound, right.highestBound),
    largestFall: Math.max(left.largestFall, right.largestFall),
    count: left.count + right.count,
  };
}

function render(annotations: ReadonlyMap<string, Annotation>, text: string): string[] {
  return [...annotations].map(([message, { at, detail }]) => {
    const position = `(${formatPosition(text, at.start)})`;
    if (detail?.kind === 'overlap' && detail.count > 1) return `${message} (${detail.count} occurrences) ${position}`;
    return detail?.kind === 'repair' ? `${message}${describe(detail)} ${position}` : `${message} ${position}`;
  });
}

function describe(repair: Repair): string {
  const from = `from buckets ${formatShort(repair.lowestBound)} to ${formatShort(repair.highestBound)}`;
  const fall = `with a max diff of ${formatShort(Number(repair.largestFall.toPrecision(2)))}`;
  const samples = `over ${repair.count} samples from ${second(repair.fromMs)} to ${second(repair.untilMs)}`;
  return `, ${from}, ${fall}, ${samples}`;
}

function second(timeMs: number): string {
  return new Date(Math.trunc(timeMs / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}
