/** Batches on their way to the target: lanes in order, tries at a pace, and what becomes of a batch that is refused. */
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage, type Logger } from '../../base/index.ts';
import type { CanonicalBatch } from '../../otap/index.ts';
import type { OpenEntry } from './acked-offsets.ts';
import { createBackoff } from './backoff.ts';
import type { Figures } from './figures.ts';
import type { OpenSender, SenderConfig } from './open-sender.ts';
import type { PipelineLimits } from './pipeline.ts';
import type { SendFacts, Sender, SendResult } from './sender.ts';
import { countItems, splitBatch } from './encoders.ts';

/** A batch, or a piece of one. */
export interface Shipment {
  readonly batch: CanonicalBatch;
  readonly facts: SendFacts;
  /** What it counts for among the bytes in flight. */
  readonly bytes: number;
  readonly entry: OpenEntry;
}

export interface DeliveryOptions {
  readonly config: SenderConfig;
  readonly limits: PipelineLimits;
  readonly figures: Figures;
  readonly logger: Logger;
  /** Aborted: nothing new is tried. */
  readonly signal: AbortSignal;
  readonly openSender: OpenSender;
  readonly onChange: () => void;
  readonly onSetAside: (entry: OpenEntry, reason: string) => void;
}

export interface Delivery {
  /** Whether no more should be read: the bounds of what is in flight are reached. */
  readonly isFull: boolean;
  /** Why nothing goes now, or null. */
  readonly trouble: { readonly state: 'retrying' | 'failed'; readonly reason: string } | null;
  /** Why another protocol is used than was asked for, or null. */
  readonly fallback: string | null;
  /** Puts a batch at the end of a lane. */
  add(lane: string, shipment: Shipment): void;
  /** Waits up to `maxMs` for answers under way, then cuts the connections. Never rejects. */
  stop(maxMs: number): Promise<void>;
}

/** What becomes of one try. */
type Verdict = 'done' | 'again' | 'split' | 'stopped';

export function createDelivery(options: DeliveryOptions): Delivery {
  const { config, limits, figures, logger, signal, onChange } = options;
  const lanes = new Map<string, Shipment[]>();
  const running = new Set<Promise<void>>();
  const backoff = createBackoff({ minMs: limits.pushRetryMinMs, maxMs: limits.pushRetryMaxMs });
  let sender: Sender = options.openSender(config);
  const senders = [sender];
  let fallback: string | null = null;
  let batches = 0;
  let bytes = 0;
  let setAsideInARow = 0;
  let trouble: Delivery['trouble'] = null;

  /** Until the lane is empty. */
  async function runLane(name: string, lane: Shipment[]): Promise<void> {
    while (lane.length > 0 && !signal.aborted) {
      const shipment = lane[0]!;
      const verdict = await deliver(shipment);
      if (verdict === 'stopped') return;
      lane.shift();
      batches--;
      bytes -= shipment.bytes;
      if (verdict === 'split') addPieces(lane, shipment);
      else shipment.entry.settle();
      onChange();
    }
    if (lane.length === 0) lanes.delete(name);
  }

  /** Tries until the target has it, it is given up, or there is an end to trying. */
  async function deliver(shipment: Shipment): Promise<Exclude<Verdict, 'again'>> {
    let refusals = 0;
    let mayHaveArrived = false;
    for (;;) {
      if (!(await pause())) return 'stopped';
      const used = sender;
      const epoch = backoff.epoch();
      if (mayHaveArrived) figures.resentBatches++;
      const result = await sendBy(used, shipment);
      // Its connection was cut because the exporter stops.
      if (signal.aborted && result.outcome !== 'ok') return 'stopped';
      if (result.outcome === 'refused') refusals++;
      mayHaveArrived = result.outcome === 'retry' && result.mayHaveArrived;
      const verdict = judge(shipment, result, { used, epoch, refusals });
      onChange();
      if (verdict !== 'again') return verdict;
    }
  }

  /** False when the exporter stops. */
  async function pause(): Promise<boolean> {
    for (let ms = backoff.waitMs(); ms > 0 && !signal.aborted; ms = backoff.waitMs()) {
      await sleep(ms, undefined, { signal }).catch(() => {});
    }
    return !signal.aborted;
  }

  async function sendBy(used: Sender, { batch, facts }: Shipment): Promise<SendResult> {
    try {
      return await used.send(batch, facts);
    } catch (error) {
      return { outcome: 'refused', reason: `Cannot send: ${errorMessage(error)}`, fault: 'batch' };
    }
  }

  function judge(
    shipment: Shipment,
    result: SendResult,
    { used, epoch, refusals }: { used: Sender; epoch: number; refusals: number },
  ): Verdict {
    switch (result.outcome) {
      case 'ok':
        return accept(shipment, result);
      case 'retry':
        return retry('retrying', result.reason, epoch, result.afterMs);
      case 'too-large':
        if (shipment.facts.items > 1) return 'split';
        return giveUp(shipment, `${result.reason}, and a single item cannot be split`, epoch);
      case 'unimplemented':
        // Another lane may have changed it meanwhile.
        if (used === sender && !fallBack(result.reason)) return retry('failed', result.reason, epoch);
        return 'again';
      case 'refused':
        if (result.fault === 'target') return retry('failed', result.reason, epoch);
        if (result.isFinal === true) return giveUp(shipment, result.reason, epoch);
        if (refusals < limits.exportTriesMax) return retry('retrying', result.reason, epoch);
        return giveUp(shipment, `${result.reason} (${refusals} tries)`, epoch);
    }
  }

  function accept({ facts, batch }: Shipment, result: SendResult & { outcome: 'ok' }): Verdict {
    backoff.succeeded();
    setAsideInARow = 0;
    trouble = null;
    figures.error = null;
    figures.sentBatches++;
    const items = facts.items === 0 ? countItems(batch) : facts.items;
    // A target that counts otherwise must not make the count of what was sent go back.
    const rejectedItems = Math.min(result.rejectedItems, items);
    figures.sentItems += items - rejectedItems;
    figures.rejectedItems += rejectedItems;
    figures.sentBytes += result.bytes;
    if (result.rejectedItems > 0) {
      const reason = result.rejection;
      logger.warn('Target left out items', {
        exporter: config.name,
        offset: facts.offset,
        items: result.rejectedItems,
        reason,
      });
    }
    if (result.leftOut !== undefined) {
      const { leftOut: what } = result;
      logger.warn('Target refuses a part of what is sent, and gets the rest', { exporter: config.name, what });
    }
    return 'done';
  }

  function retry(state: 'retrying' | 'failed', reason: string, epoch: number, afterMs?: number): Verdict {
    figures.retries++;
    if (afterMs !== 0) {
      if (trouble?.reason !== reason) logger.warn('Exporter has to wait', { exporter: config.name, state, reason });
      trouble = { state, reason };
      figures.error = reason;
    }
    backoff.failed(epoch, afterMs);
    return 'again';
  }

  /** A target that refuses everything refuses no batch: it is waited for, as one that is away. */
  function giveUp({ entry }: Shipment, reason: string, epoch: number): Verdict {
    if (setAsideInARow >= limits.exportSetAsideRunMax) {
      return retry('failed', `${setAsideInARow} batches in a row were refused, the next one too: ${reason}`, epoch);
    }
    setAsideInARow++;
    trouble = null;
    figures.error = reason;
    backoff.succeeded();
    options.onSetAside(entry, reason);
    return 'done';
  }

  /** OTLP instead of OTAP, once; false where there is nothing to fall back to. */
  function fallBack(reason: string): boolean {
    if (config.protocol !== 'otap' || fallback !== null) return false;
    fallback = `otlp-grpc, since the target does not take OTAP (${reason})`;
    logger.warn('Exporter falls back to OTLP', { exporter: config.name, reason });
    sender = options.openSender({ ...config, protocol: 'otlp-grpc' });
    senders.push(sender);
    return true;
  }

  function addPieces(lane: Shipment[], { batch, facts, bytes: wholeBytes, entry }: Shipment): void {
    const pieces = splitBatch(batch, Math.ceil(facts.items / 2));
    entry.split(pieces.length);
    lane.unshift(
      ...pieces.map((piece): Shipment => {
        const items = countItems(piece);
        return { batch: piece, facts: { ...facts, items }, bytes: wholeBytes / pieces.length, entry };
      }),
    );
    batches += pieces.length;
    bytes += wholeBytes;
  }

  return {
    get isFull() {
      return batches >= limits.pushBatchesMax || bytes >= limits.pushInFlightBytesMax;
    },
    get trouble() {
      return trouble;
    },
    get fallback() {
      return fallback;
    },
    add(name, shipment) {
      batches++;
      bytes += shipment.bytes;
      const lane = lanes.get(name);
      if (lane !== undefined) {
        lane.push(shipment);
        return;
      }
      const made = [shipment];
      lanes.set(name, made);
      const work = runLane(name, made);
      running.add(work);
      void work.finally(() => running.delete(work));
    },
    async stop(maxMs) {
      const answers = Promise.all(running);
      const timer = new AbortController();
      await Promise.race([answers, sleep(maxMs, undefined, { signal: timer.signal }).catch(() => {})]);
      timer.abort();
      await Promise.all(senders.map((one) => one.close()));
      await answers;
    },
  };
}
