import { BatchMalformedError, type Signal } from '../base/index.ts';
import type { LogEntry } from '../log/index.ts';
import { type CanonicalBatch, decodeOtlp, isOtlpContentType } from '../otap/index.ts';

const CONTENT_TYPE = 'content-type';

/**
 * The rows of an OTLP entry. Columns may be views into its record, which lives as long as the frame. Throws BatchMalformedError for a
 * request that does not decode, or when the entry does not say how it is written.
 */
export function decodeOtlpEntry(signal: Signal, entry: LogEntry): CanonicalBatch {
  const contentType = entry.headers.get(CONTENT_TYPE);
  if (contentType === undefined || !isOtlpContentType(contentType)) {
    throw new BatchMalformedError(
      `Cannot decode the OTLP entry: content type is ${contentType === undefined ? 'missing' : JSON.stringify(contentType)}`,
    );
  }
  return decodeOtlp(signal, entry.record, contentType);
}
