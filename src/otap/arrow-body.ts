/**
 * The arrays and buffers of one record batch or dictionary, in the order in which the fields take them, decompressed on the way.
 */
import { BatchMalformedError } from '../base/index.ts';
import type { DecodeBudget } from './decode-budget.ts';
import { readInt16, rootTable } from './flatbuffer-reader.ts';
import { bufferBytes, bufferStart, IPC_CODECS, type IpcMessage, nodeLength, nodeNullCount } from './ipc-messages.ts';
import { decompressLz4 } from './lz4.ts';
import { decompressZstd } from './zstd.ts';

/** Takes nodes and buffers of a message one by one. All calls throw BatchMalformedError naming payload and column. */
export interface ArrowBody {
  readonly budget: DecodeBudget;
  /** Length of the next array; `expectedLength` null when the parent does not set it. Sets `nullCount`. */
  nextNode(path: string, expectedLength: number | null): number;
  /** Nulls of the array last taken. */
  readonly nullCount: number;
  /** Whether unions have a validity buffer: up to metadata version V4. */
  readonly hasUnionValidity: boolean;
  /** The next buffer, decompressed; a view into the message when it is stored plain. Empty when absent. */
  nextBuffer(path: string): Uint8Array;
  /** The next buffer, checked to hold `bytes` bytes, cut to them and aligned for reads of up to 8 bytes. */
  nextValues(path: string, bytes: number): Uint8Array;
  /** Throws when nodes or buffers are left over: they belong to columns that the schema does not have. */
  end(): void;
  /** A fault of column `path` of this payload. */
  malformed(path: string, reason: string): BatchMalformedError;
}

const LENGTH_PREFIX_BYTES = 8;
const ALIGNMENT = 8;
/** MetadataVersion in Message.fbs. */
const VERSION_SLOT = 4;
const VERSION_V5 = 4;
const NO_BYTES = new Uint8Array(0);

/** A body reader over `message`, which `walkIpcMessages` checked. `payload` is the payload type's name for errors. */
export function openArrowBody(message: IpcMessage, payload: string, budget: DecodeBudget): ArrowBody {
  const { bytes, view } = message.flatbuffer;
  let nodeIndex = 0;
  let bufferIndex = 0;
  let nullCount = 0;

  function malformed(path: string, reason: string): BatchMalformedError {
    return columnMalformed(payload, path, reason);
  }

  function nextBuffer(path: string): Uint8Array {
    const index = bufferIndex++;
    if (index >= message.bufferCount) throw malformed(path, 'its buffers are missing');
    const length = bufferBytes(message, index);
    if (length === 0) return NO_BYTES;
    const start = bufferStart(message, index);
    if (message.codec === IPC_CODECS.NONE) {
      budget.charge(length);
      return bytes.subarray(start, start + length);
    }
    const stored = bytes.subarray(start + LENGTH_PREFIX_BYTES, start + length);
    if (view.getInt32(start, true) === -1 && view.getInt32(start + 4, true) === -1) {
      budget.charge(stored.length);
      return stored;
    }
    // The walk checked that the length fits the batch.
    const declared = view.getUint32(start, true) + view.getInt32(start + 4, true) * 2 ** 32;
    budget.charge(declared);
    return decompress(path, stored, declared);
  }

  function decompress(path: string, stored: Uint8Array, declared: number): Uint8Array {
    let decoded: Uint8Array;
    try {
      decoded = message.codec === IPC_CODECS.ZSTD ? decompressZstd(stored, declared) : decompressLz4(stored, declared);
    } catch (error) {
      if (!(error instanceof BatchMalformedError)) throw error;
      throw malformed(path, error.message);
    }
    if (decoded.length !== declared) {
      throw malformed(path, `a buffer decompressed to ${decoded.length} bytes, ${declared} were declared`);
    }
    // Plain arrays only: a Buffer's slice() is no copy.
    return new Uint8Array(decoded.buffer, decoded.byteOffset, declared);
  }

  return {
    budget,
    malformed,
    nextBuffer,
    get hasUnionValidity() {
      return readInt16(message.flatbuffer, rootTable(message.flatbuffer), VERSION_SLOT, 0) < VERSION_V5;
    },
    get nullCount() {
      return nullCount;
    },
    nextNode(path, expectedLength) {
      const index = nodeIndex++;
      if (index >= message.nodeCount) throw malformed(path, 'its array is missing');
      const length = nodeLength(message, index);
      if (expectedLength !== null && length !== expectedLength) {
        throw malformed(path, `it has ${length} values instead of ${expectedLength}`);
      }
      nullCount = nodeNullCount(message, index);
      return length;
    },
    nextValues(path, byteLength) {
      const buffer = nextBuffer(path);
      if (buffer.length < byteLength) {
        throw malformed(path, `a buffer has ${buffer.length} bytes instead of ${byteLength}`);
      }
      if (buffer.byteOffset % ALIGNMENT === 0) return buffer.subarray(0, byteLength);
      const aligned = new Uint8Array(byteLength);
      aligned.set(buffer.subarray(0, byteLength));
      return aligned;
    },
    end() {
      if (nodeIndex !== message.nodeCount || bufferIndex !== message.bufferCount) {
        throw new BatchMalformedError(
          `Cannot decode ${payload}: ${message.nodeCount - nodeIndex} arrays and ${message.bufferCount - bufferIndex} buffers belong to no column`,
          { payloadType: payload },
        );
      }
    },
  };
}

/** The error for anything wrong in one column of a payload. `payload` is the payload type's name, `column` its path. */
export function columnMalformed(payload: string, column: string, reason: string): BatchMalformedError {
  return new BatchMalformedError(`Cannot decode ${payload}: column ${column}: ${reason}`, {
    payloadType: payload,
    column,
  });
}
