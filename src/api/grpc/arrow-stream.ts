/**
 * One OTAP stream, from its first message to the end of its RPC: inspect, append, answer.
 *
 * What an exporter does with each answer decides every rule here. For a batch only OK, UNAVAILABLE (it resends) and
 * INVALID_ARGUMENT (it drops) are sent, once. When the RPC ends, whatever the final status (but UNIMPLEMENTED, which turns Arrow
 * off), batches without an answer are sent again on a new stream at once: so answers are flushed before the end, and what was read
 * and not begun is left to come again.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import {
  AssertionError,
  BatchMalformedError,
  errorMessage,
  LogUnavailableError,
  type Signal,
  SIGNAL_CODES,
} from '../../base/index.ts';
import { ENTRY_FLAGS, type LogStream } from '../../log/index.ts';
import { createStreamInspector, type InspectedBatch, type StreamInspector } from '../../otap/index.ts';
import { BATCH_STATUS_CODES, type BatchStatusCode, encodeBatchStatus, peekBatchId } from './batch-status.ts';
import { printable, type ReceivedMessage, unavailable, unreadable, type UnreadableMessage } from './encodings.ts';
import { Metadata } from './grpc-js.ts';
import { type Intake, intakeOf } from './intake.ts';
import type { ReceiverContext, StreamEnd } from './receiver-context.ts';

/** The call of an Arrow service. */
export type ArrowCall = ServerDuplexStream<ReceivedMessage, Buffer>;

/** The part of a stream's age by which streams differ: exporters started together would else all reconnect together. */
const AGE_JITTER = 0.1;

export class ArrowStream {
  readonly signal: Signal;
  /** Past the number of streams: every batch is answered UNAVAILABLE and nothing is kept of it. */
  readonly isExcess: boolean;
  readonly #call: ArrowCall;
  readonly #context: ReceiverContext;
  readonly #intake: Intake;
  readonly #ageTimer: NodeJS.Timeout;
  /** Made by the first batch, as is the log's stream: one that is only held open costs neither. */
  #inspector: StreamInspector | null = null;
  #logStream: LogStream | null = null;
  #stateBytes = 0;
  #inFlightBytes = 0;
  /** Batches taken and not answered. */
  #unanswered = 0;
  /** Appends not settled: more than `#unanswered` when some were answered because they took too long. */
  #unsettled = 0;
  /** Statuses that the client has not let us write. */
  #unwritten = 0;
  /** A message was taken and the next one not asked for. */
  #owesNext = false;
  /** While the next message is held back for bytes in flight: what ends the hold. */
  #cancelHold: (() => void) | null = null;
  /** The hold has lasted too long: messages are read on and refused until there is room. */
  #isRefusing = false;
  #ending: { readonly end: StreamEnd; readonly status: UnreadableMessage | null } | null = null;
  #isEndSent = false;
  #isOver = false;

  constructor(call: ArrowCall, signal: Signal, isExcess: boolean, context: ReceiverContext) {
    this.signal = signal;
    this.isExcess = isExcess;
    this.#call = call;
    this.#context = context;
    this.#intake = intakeOf(call.metadata);
    this.#intake.steer((refusal) => this.#endUnreadable(refusal));
    const ageMs = context.limits.streamAgeMaxMs * (1 - AGE_JITTER * Math.random());
    this.#ageTimer = setTimeout(() => this.end('age'), ageMs).unref();
    call.on('data', (message: ReceivedMessage) => this.#receive(message));
    call.on('end', () => this.end('half_close'));
    call.on('cancelled', () => this.#over());
    // At once and not with the first status: some clients wait for them before they send.
    call.sendMetadata(new Metadata());
  }

  /** Bytes of schema and dictionary messages that the log carries for this stream. */
  get stateBytes(): number {
    return this.#stateBytes;
  }

  /** Whether the stream takes no more batches. */
  get isEnding(): boolean {
    return this.#ending !== null;
  }

  /** Whether the next message is held back until there is room. */
  get isHeld(): boolean {
    return this.#cancelHold !== null;
  }

  /** Whether the stream is not read from because its client does not take its statuses. */
  get isStalled(): boolean {
    return this.#unwritten >= this.#context.limits.streamStatusesMax;
  }

  /** Takes no more batches, answers those taken, then ends the RPC: with OK, or with `status`. */
  end(end: StreamEnd, status: UnreadableMessage | null = null): void {
    if (this.#ending !== null) return;
    this.#ending = { end, status };
    this.#stopReading();
    this.#endIfAnswered();
  }

  #receive(message: ReceivedMessage): void {
    if (this.#ending !== null) return;
    if (!Buffer.isBuffer(message)) return this.#endUnreadable(message);
    this.#context.counts[this.signal].messageBytes += message.length;
    if (this.isExcess) this.#refuseUnread(message);
    else this.#take(message);
    this.#owesNext = true;
    this.#readNext();
  }

  #take(message: Buffer): void {
    const batch = this.#inspect(message);
    const logStream = batch === null ? null : this.#openLogStream();
    if (batch === null || logStream === null) return;
    // The exporter's clock has run since the batch came: one that waited too long is resent already.
    const isLate = this.#intake.waitedMs >= this.#context.limits.appendWaitMaxMs;
    const isRefused = isLate || (this.#isRefusing && this.#isFull);
    if (!isRefused && this.#context.admission.admit(message.length)) {
      void this.#append(logStream, batch, message);
    } else {
      // Later batches build on this one's dictionaries, and the exporter resends it on this same stream.
      logStream.absorb(batch.stateMessages);
      this.#answer(
        batch.batchId,
        BATCH_STATUS_CODES.UNAVAILABLE,
        'Cannot take the batch: too many bytes are in flight',
      );
    }
    this.#watchState(logStream);
  }

  #inspect(message: Buffer): InspectedBatch | null {
    try {
      return (this.#inspector ??= createStreamInspector(this.signal)).inspect(message);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      const reason = printable(errorMessage(error));
      const batchId = peekBatchId(message);
      const facts = error instanceof BatchMalformedError ? error.facts : { defect: String(error) };
      const fields = { signal: this.signal, peer: this.#call.getPeer(), reason, batchId, ...facts };
      this.#context.logger.warn('Ended a stream with a malformed batch', fields);
      if (batchId === undefined) this.#context.counts[this.signal].malformed++;
      else this.#answer(batchId, BATCH_STATUS_CODES.INVALID_ARGUMENT, reason);
      this.end('malformed', unreadable(reason));
      return null;
    }
  }

  #openLogStream(): LogStream | null {
    try {
      return (this.#logStream ??= this.#context.log.openStream(SIGNAL_CODES[this.signal]));
    } catch (error) {
      if (!(error instanceof LogUnavailableError)) throw error;
      // Without the log's stream nobody would keep the state of this batch: the exporter has to begin anew.
      this.end('unavailable', unavailable(errorMessage(error)));
      return null;
    }
  }

  async #append(logStream: LogStream, batch: InspectedBatch, message: Buffer): Promise<void> {
    const { admission, limits, logger } = this.#context;
    const bytes = message.length;
    this.#unanswered++;
    this.#unsettled++;
    this.#inFlightBytes += bytes;
    let isAnswered = false;
    const answer = (code: BatchStatusCode, reason: string): void => {
      if (isAnswered) return;
      isAnswered = true;
      this.#unanswered--;
      this.#answer(batch.batchId, code, reason);
      this.#endIfAnswered();
    };
    const timer = setTimeout(() => {
      answer(
        BATCH_STATUS_CODES.UNAVAILABLE,
        `Cannot store the batch: it is not durable after ${limits.appendWaitMaxMs} ms`,
      );
    }, limits.appendWaitMaxMs - this.#intake.waitedMs);
    try {
      await logStream.append({
        batchId: batch.batchId,
        record: batch.record,
        headers: batch.headers,
        flags: flagsOf(batch, message),
        stateUpdates: batch.stateMessages,
      });
      answer(BATCH_STATUS_CODES.OK, '');
    } catch (error) {
      if (!(error instanceof LogUnavailableError))
        logger.error('Cannot append a batch', { signal: this.signal, error });
      answer(BATCH_STATUS_CODES.UNAVAILABLE, errorMessage(error));
    }
    clearTimeout(timer);
    this.#unsettled--;
    this.#inFlightBytes -= bytes;
    admission.release(bytes);
    this.#readNext();
    this.#closeIfSettled();
  }

  /** Answers a batch of a stream that there is no room for: its id is all that is read of it. */
  #refuseUnread(message: Buffer): void {
    const batchId = peekBatchId(message);
    if (batchId === undefined)
      return this.#endUnreadable(unreadable('Cannot read a batch: it has no readable batch_id'));
    this.#answer(batchId, BATCH_STATUS_CODES.UNAVAILABLE, 'Cannot take the batch: too many streams are open');
  }

  #endUnreadable(message: UnreadableMessage): void {
    if (this.#ending !== null) return;
    this.#context.counts[this.signal].malformed++;
    const fields = { signal: this.signal, peer: this.#call.getPeer(), reason: message.details };
    this.#context.logger.warn('Ended a stream with an unreadable message', fields);
    this.end('malformed', message);
  }

  #answer(batchId: bigint, code: BatchStatusCode, reason: string): void {
    const counts = this.#context.counts[this.signal];
    if (code === BATCH_STATUS_CODES.OK) counts.accepted++;
    else if (code === BATCH_STATUS_CODES.UNAVAILABLE) counts.unavailable++;
    else counts.malformed++;
    if (this.#isOver) return;
    this.#unwritten++;
    this.#call.write(encodeBatchStatus(batchId, code, printable(reason)), () => {
      this.#unwritten--;
      this.#readNext();
    });
  }

  /** Asks for the next message, if one is owed and there is room for it and for its answer. */
  #readNext(): void {
    if (!this.#owesNext || this.#ending !== null || this.#isOver) return;
    if (this.isStalled) return;
    if (this.#isFull && !this.#isRefusing) return this.#hold();
    if (!this.#isFull) this.#isRefusing = false;
    this.#cancelHold?.();
    this.#owesNext = false;
    this.#intake.next();
  }

  get #isFull(): boolean {
    const { limits, admission } = this.#context;
    return admission.isFull || this.#inFlightBytes >= limits.streamInFlightBytesMax;
  }

  #hold(): void {
    const { limits, admission } = this.#context;
    if (this.#cancelHold !== null) return;
    // Registered even when only this stream is full: being woken for nothing costs less than two kinds of holds.
    const unwait = admission.wait(() => this.#readNext());
    const timer = setTimeout(() => {
      this.#isRefusing = true;
      this.#readNext();
    }, limits.readHoldMaxMs);
    this.#cancelHold = () => {
      clearTimeout(timer);
      unwait();
      this.#cancelHold = null;
    };
  }

  #watchState(logStream: LogStream): void {
    const grownBytes = logStream.stateBytes - this.#stateBytes;
    this.#stateBytes += grownBytes;
    if (this.#stateBytes > this.#context.limits.streamStateBytesMax) this.end('state');
    if (grownBytes !== 0) this.#context.stateGrew(this, grownBytes);
  }

  #stopReading(): void {
    clearTimeout(this.#ageTimer);
    this.#cancelHold?.();
  }

  #endIfAnswered(): void {
    if (this.#ending === null || this.#unanswered > 0 || this.#isEndSent || this.#isOver) return;
    this.#isEndSent = true;
    const { status } = this.#ending;
    if (status === null) this.#call.end();
    else this.#call.emit('error', status);
    // A client that takes neither its statuses nor the end, or that sends on after it, is cut.
    setTimeout(() => this.#intake.cut(), this.#context.limits.streamEndMaxMs).unref();
  }

  /** The RPC has ended: by us, by the client, or with its connection. */
  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // Node shows a stream that was cut as half-closed first.
    const end = this.#ending?.end === 'half_close' && this.#intake.isCut ? 'cancelled' : this.#ending?.end;
    this.#ending ??= { end: 'cancelled', status: null };
    this.#stopReading();
    this.#closeIfSettled();
    this.#context.streamOver(this, end ?? 'cancelled');
  }

  #closeIfSettled(): void {
    if (!this.#isOver || this.#unsettled > 0 || this.#logStream === null) return;
    this.#logStream.close();
    this.#logStream = null;
    this.#context.stateGrew(this, -this.#stateBytes);
    this.#stateBytes = 0;
  }
}

function flagsOf(batch: InspectedBatch, message: Buffer): number {
  let flags = 0;
  for (const { kind } of batch.stateMessages) {
    flags |= kind === 'schema' ? ENTRY_FLAGS.HAS_SCHEMA : ENTRY_FLAGS.HAS_DICTIONARY;
  }
  const recordBytes = batch.record.reduce((sum, part) => sum + part.length, 0);
  return recordBytes === message.length ? flags : flags | ENTRY_FLAGS.HEADERS_CUT;
}
