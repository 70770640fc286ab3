/** OTLP export requests: what may be said of one at its receipt, and its rows. */
import { BatchMalformedError, BatchTooLargeError, type Signal } from '../base/index.ts';
import type { CanonicalBatch } from './canonical.ts';
import { decodeOtlpProtobuf } from './otlp-decoder.ts';
import { inspectOtlpProtobuf } from './otlp-inspector.ts';
import { otlpJsonToProtobuf } from './otlp-json.ts';

/** How an export request is written. Stored with the entry: never rename. */
export const OTLP_CONTENT_TYPES = { PROTOBUF: 'application/x-protobuf', JSON: 'application/json' } as const;

export type OtlpContentType = (typeof OTLP_CONTENT_TYPES)[keyof typeof OTLP_CONTENT_TYPES];

/** What a request will give. */
export interface InspectedOtlp {
  /** Log records, spans or data points that become rows. */
  readonly rows: number;
  /** Those that do not, each for a fault of its own (an id of a wrong length, nesting without end). */
  readonly rejectedRows: number;
  /** What is wrong with the first of them, and where; null when there is none. */
  readonly rejection: string | null;
}

/**
 * Checks a whole request without building anything. Throws BatchMalformedError with the field and the position for a request that is
 * not of its form, BatchTooLargeError for one with more rows than LIMITS allow. What passes here decodes.
 */
export function inspectOtlp(signal: Signal, body: Uint8Array, contentType: OtlpContentType): InspectedOtlp {
  if (contentType === OTLP_CONTENT_TYPES.JSON) return inspectJson(signal, body);
  const { rows, rejectedRows, rejection } = inspectOtlpProtobuf(signal, body);
  return { rows, rejectedRows, rejection };
}

/**
 * The rows of a request, less those that `inspectOtlp` rejects. Columns may be views into `body`: do not change it while the batch is
 * in use. Throws like `inspectOtlp`.
 */
export function decodeOtlp(signal: Signal, body: Uint8Array, contentType: OtlpContentType): CanonicalBatch {
  return decodeOtlpProtobuf(signal, protobufOf(signal, body, contentType));
}

/** Whether a stored or received content type is one of an export request. */
export function isOtlpContentType(contentType: string): contentType is OtlpContentType {
  return contentType === OTLP_CONTENT_TYPES.PROTOBUF || contentType === OTLP_CONTENT_TYPES.JSON;
}

/** Said behind a position that is none of the text that came: what is wrong with the rows of JSON shows in its protobuf. */
const IN_PROTOBUF = ' of the same request in protobuf';

function inspectJson(signal: Signal, body: Uint8Array): InspectedOtlp {
  const protobuf = otlpJsonToProtobuf(signal, body);
  try {
    const { rows, rejectedRows, rejection } = inspectOtlpProtobuf(signal, protobuf);
    return { rows, rejectedRows, rejection: rejection === null ? null : rejection + IN_PROTOBUF };
  } catch (error) {
    if (!(error instanceof BatchMalformedError) || error instanceof BatchTooLargeError) throw error;
    throw new BatchMalformedError(error.message + IN_PROTOBUF, error.facts);
  }
}

function protobufOf(signal: Signal, body: Uint8Array, contentType: OtlpContentType): Uint8Array {
  return contentType === OTLP_CONTENT_TYPES.JSON ? otlpJsonToProtobuf(signal, body) : body;
}
