/** The encoders, loaded with what sends: only the exporters' thread needs them. */
import { loadEncoders } from '../../otap/index.ts';

export const { concatBatches, countItems, createStreamEncoder, encodeOtlp, filterBatch, splitBatch } =
  await loadEncoders();
