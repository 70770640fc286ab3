/** What makes messages of batches, and what comes before that: of no use to those who only read. */
export { concatBatches } from './concat-batches.ts';
export { countItems } from './count-items.ts';
export { encodeOtlp } from './otlp-encoder.ts';
export { filterBatch } from './row-filter.ts';
export { splitBatch } from './split-batch.ts';
export { createStreamEncoder } from './stream-encoder.ts';
