/** What threads send each other: bytes that move, errors of the store in a form that can be cloned. */
import { errorMessage, type SerializedError, TreasuryError } from './errors.ts';

/** The bytes in a buffer of their own, copied unless they have one: only a whole buffer can be transferred, and small chunks may live in a shared pool. */
export function transferableBytes(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = chunk;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) return new Uint8Array(buffer);
  return new Uint8Array(chunk);
}

/** An error of a call to the store; what is no TreasuryError becomes TREASURY_STORE. */
export function serializedStoreError(error: unknown): SerializedError {
  if (error instanceof TreasuryError) return error.toJSON();
  return new TreasuryError('TREASURY_STORE', errorMessage(error), { cause: error }).toJSON();
}
