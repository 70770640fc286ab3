/** An entry of the log as canonical tables, with the state of its stream. The materializer's way, for readers without a database too. */
import { errorMessage, type Signal, signalOfCode } from '../base/index.ts';
import { ENTRY_FLAGS, ENTRY_KINDS, type LogEntry } from '../log/index.ts';
import { type CanonicalBatch, createStreamDecoder, initZstd } from '../otap/index.ts';
import { ReadFailure } from './loop-failures.ts';
import { decodeOtlpEntry } from './otlp-entry.ts';
import { createStreamDecoders, type StreamDecoders, type StreamDecodersOptions } from './stream-decoders.ts';

/** Calls must come in log order, from the first entry of a segment on. */
export interface EntryDecoder {
  /** The batch, the reason why there is none, or null for an entry without rows. */
  decode(entry: LogEntry): CanonicalBatch | string | null;
}

/** A decoder of all streams, with bounded memory. Options as in `createStreamDecoders`. */
export async function createEntryDecoder(
  options: Pick<StreamDecodersOptions, 'readSegment' | 'statesBytesMax' | 'streamsMax'>,
): Promise<EntryDecoder> {
  await initZstd();
  const decoders = createStreamDecoders({ ...options, createDecoder: createStreamDecoder });
  return {
    decode(entry) {
      if (entry.kind === ENTRY_KINDS.STREAM_CLOSE) decoders.drop(entry.streamId);
      if (ROWLESS_KINDS.has(entry.kind)) return null;
      return decodeEntry(entry, signalOfCode(entry.signal), { decoders, decodeOtlp: decodeOtlpEntry });
    },
  };
}

const ROWLESS_KINDS: ReadonlySet<number> = new Set([
  ENTRY_KINDS.STREAM_OPEN,
  ENTRY_KINDS.STREAM_CLOSE,
  ENTRY_KINDS.CURSOR,
]);

/** What decodes the entries of streams, and those that stand alone. */
export interface EntryDecoderParts {
  readonly decoders: StreamDecoders;
  readonly decodeOtlp: (signal: Signal, entry: LogEntry) => CanonicalBatch;
}

/** The batch of an entry, the reason why there is none, or null for an entry without rows. Throws ReadFailure. */
export function decodeEntry(
  entry: LogEntry,
  signal: Signal | undefined,
  { decoders, decodeOtlp }: EntryDecoderParts,
): CanonicalBatch | string | null {
  if (signal === undefined) return `Cannot decode the entry: signal is ${entry.signal}`;
  if (isUndecodable(entry)) return 'Cannot decode the entry: damage of the log has taken state that it depends on';
  try {
    switch (entry.kind) {
      case ENTRY_KINDS.STATE:
        decoders.restoreState(entry, signal);
        return null;
      case ENTRY_KINDS.BAR:
        return decoders.decode(entry, signal);
      case ENTRY_KINDS.OTLP:
        return decodeOtlp(signal, entry);
      default:
        return `Cannot decode the entry: kind is ${entry.kind}`;
    }
  } catch (error) {
    // Says nothing about the entry.
    if (error instanceof ReadFailure) throw error;
    return errorMessage(error);
  }
}

/** Whether damage of the log has taken what the entry depends on. */
export function isUndecodable(entry: LogEntry): boolean {
  return (entry.flags & ENTRY_FLAGS.UNDECODABLE) !== 0;
}
