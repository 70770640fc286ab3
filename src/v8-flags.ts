/**
 * Sets what V8 has to know before anything else is loaded; `main.ts` imports it first, for its effect.
 *
 * A collector on a developer's machine idles most of the day: the heaps of the main thread and the worker grow less ahead of need. That
 * is 4 MiB of an idle process; `bench/ingest.ts` shows no difference in rows a second or CPU a row, for rows live outside of the heap.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--optimize-for-size');

/**
 * To be called when the first telemetry has come. A small heap through which megabytes of messages go is collected every few of them, at
 * half of all CPU (bench/otlp.ts): from now on what a collection left may grow sixfold before the next one, which is some 50 MB of
 * messages on the main thread's 10 MB. An idle process stays as small as it is.
 */
export function letHeapsGrow(): void {
  setFlagsFromString('--heap-growing-percent=500');
}
