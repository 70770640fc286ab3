import type { MethodDefinition } from '@grpc/grpc-js';

/**
 * A method whose messages pass as they are: requests as `ReceivedMessage`, responses as Buffers. grpc-js's own kind of decoder may
 * throw only to end a call with INTERNAL, which exporters take for a reason to drop data; handlers decode for themselves.
 */
export function rawMethod(
  service: string,
  method: string,
  kind: 'unary' | 'server_stream' | 'bidi',
): MethodDefinition<Buffer, Buffer> {
  return {
    path: `/${service}/${method}`,
    requestStream: kind === 'bidi',
    responseStream: kind !== 'unary',
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

function same(bytes: Buffer): Buffer {
  return bytes;
}
