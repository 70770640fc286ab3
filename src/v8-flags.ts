/**
 * Sets what V8 has to know before anything else is loaded; `main.ts` imports it first, for its effect.
 *
 * A collector on a developer's machine idles most of the day: the heaps of the main thread and the worker grow less ahead of need. That
 * is 4 MiB of an idle process; `bench/ingest.ts` shows no difference in rows a second or CPU a row, for rows live outside of the heap.
 */
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';

setFlagsFromString('--optimize-for-size');

/** What a collection left may grow sixfold before the next one, and at least double: collecting a large heap takes long. */
const GROWTH_PERCENT_MAX = 500;
const GROWTH_PERCENT_MIN = 100;

/** Times by which the young heap grows when much of it has survived. Both are V8's to read at each growth; the latter is its own. */
const YOUNG_GROWTH = { NONE: 1, USUAL: 2 } as const;

let observer: PerformanceObserver | null = null;

/**
 * To be called before a server is loaded: most of what loading makes stays, so the young heap of the main thread grows from 1 MiB to 6
 * and keeps them until much later. `letHeapsGrow` ends this. Commands that work and end have no use for it.
 */
export function keepYoungHeapSmall(): void {
  setYoungGrowth(YOUNG_GROWTH.NONE);
}

/**
 * To be called when the first telemetry has come. A small heap through which megabytes of messages go is collected every few of them, at
 * half of all CPU (bench/otlp.ts): from now on `garbageBytesMax` may gather on the main thread's heap between collections, as long as
 * that is not less than the heap itself. Not a multiple of what lives: clients that only hold connections open would cost six times
 * what they take. The engine's heap grows by the same factor. An idle process stays as small as it is.
 */
export function letHeapsGrow(garbageBytesMax: number): void {
  if (observer !== null) return;
  setYoungGrowth(YOUNG_GROWTH.USUAL);
  const setGrowth = (): void => {
    const percent = Math.round((100 * garbageBytesMax) / getHeapStatistics().used_heap_size);
    const bounded = Math.max(GROWTH_PERCENT_MIN, Math.min(GROWTH_PERCENT_MAX, percent));
    setFlagsFromString(`--heap-growing-percent=${bounded}`);
  };
  setGrowth();
  observer = new PerformanceObserver((list) => {
    if (list.getEntries().some(isMajor)) setGrowth();
  });
  observer.observe({ entryTypes: ['gc'] });
}

function setYoungGrowth(factor: number): void {
  setFlagsFromString(`--semi-space-growth-factor=${factor}`);
}

/** Only after these is what the heap holds mostly alive. */
function isMajor(entry: PerformanceEntry): boolean {
  const { detail } = entry as PerformanceEntry & { readonly detail?: { readonly kind?: number } };
  return detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}
