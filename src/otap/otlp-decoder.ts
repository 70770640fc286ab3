import type { Signal } from '../base/index.ts';
import type { CanonicalBatch } from './canonical.ts';

export function decodeOtlpProtobuf(_signal: Signal, _bytes: Uint8Array): CanonicalBatch {
  throw new Error('not there yet');
}
