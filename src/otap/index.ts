export * from './canonical.ts';
export { PAYLOAD_TYPES, type PayloadName, payloadName, type PayloadType } from './payload-types.ts';
export type { InspectedBatch, StateMessage, StreamDecoder, StreamEncoder, StreamInspector } from './stream-types.ts';
export { createStreamInspector } from './stream-inspector.ts';
export { compressZstd, decompressZstd, initZstd } from './zstd.ts';
export { cborToJson } from './cbor-json.ts';
export { type CborValue, decodeCbor } from './cbor.ts';
export { createStreamDecoder } from './stream-decoder.ts';
export { ProtobufReader } from './protobuf-reader.ts';
export { isKeptHeader } from './header-policy.ts';
export {
  decodeOtlp,
  inspectOtlp,
  type InspectedOtlp,
  isOtlpContentType,
  OTLP_CONTENT_TYPES,
  type OtlpContentType,
} from './otlp.ts';
export type { OtlpEncodeFaults } from './otlp-encoder.ts';
export type { RowFilter } from './row-filter.ts';
export type { StreamEncoderOptions } from './stream-encoder.ts';

/** Loads the encoders of OTAP and OTLP: a server that sends nothing goes without. */
export function loadEncoders(): Promise<typeof import('./encoders.ts')> {
  return import('./encoders.ts');
}
