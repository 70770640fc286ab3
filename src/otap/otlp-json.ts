import type { Signal } from '../base/index.ts';

export function otlpJsonToProtobuf(_signal: Signal, _bytes: Uint8Array): Uint8Array {
  throw new Error('not there yet');
}
