import type { LIMITS, Logger, Signal } from '../../base/index.ts';
import type { Log } from '../../log/index.ts';
import type { Admission } from '../admission.ts';
import type { ArrowStream } from './arrow-stream.ts';

/** The limits that the gRPC server obeys; tests pass smaller ones. */
export type GrpcLimits = {
  readonly [name in
    | 'messageBytesMax'
    | 'decompressedBytesMax'
    | 'streamStateBytesMax'
    | 'streamStatesBytesMax'
    | 'streamAgeMaxMs'
    | 'streamsMax'
    | 'streamStatusesMax'
    | 'streamEndMaxMs'
    | 'streamInFlightBytesMax'
    | 'readHoldMaxMs'
    | 'appendWaitMaxMs'
    | 'otlpWaitingBytesMax'
    | 'otlpReceiveMaxMs'
    | 'shutdownMaxMs'
    | 'grpcStreamWindowBytes'
    | 'grpcSessionWindowBytes'
    | 'grpcKeepaliveIntervalMs'
    | ('grpcKeepaliveTimeoutMs' & keyof typeof LIMITS)]: number;
};

/** Why a stream ended. `cancelled`: by the client, its connection, or by force. */
export const STREAM_ENDS = [
  'half_close',
  'age',
  'state',
  'capacity',
  'shutdown',
  'malformed',
  'unavailable',
  'cancelled',
] as const;

export type StreamEnd = (typeof STREAM_ENDS)[number];

/** What became of the batches of a signal, since start. */
export interface BatchCounts {
  /** Answered OK. */
  accepted: number;
  /** Answered UNAVAILABLE. */
  unavailable: number;
  /** Answered INVALID_ARGUMENT, or malformed beyond an answer. */
  malformed: number;
  /** Bytes of messages after decompression. */
  messageBytes: number;
}

/** What the streams of a server share. */
export interface ReceiverContext {
  readonly log: Log;
  readonly logger: Logger;
  readonly limits: GrpcLimits;
  readonly admission: Admission;
  readonly counts: Readonly<Record<Signal, BatchCounts>>;
  /** The state of `stream` grew (or shrank) by `bytes`. */
  stateGrew(stream: ArrowStream, bytes: number): void;
  /** The RPC of `stream` is over. */
  streamOver(stream: ArrowStream, end: StreamEnd): void;
}
