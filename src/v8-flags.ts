/**
 * Sets what V8 has to know before anything else is loaded; `main.ts` imports it first, for its effect.
 *
 * A collector on a developer's machine idles most of the day: the heaps of the main thread and the worker grow less ahead of need. That
 * is 4 MiB of an idle process; `bench/ingest.ts` shows no difference in rows a second or CPU a row, for rows live outside of the heap.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--optimize-for-size');
