/** Batches on their way to the target: lanes in order, tries at a pace, and what becomes of a batch that is refused. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createWake, errorMessage, type Logger, type Wake } from '../../base/index.ts';
import type { OpenEntry } from './acked-offsets.ts';
import { createBackoff } from './backoff.ts';
import { countItems } from './encoders.ts';
import type { Figures } from './figures.ts';
import { createLane, type Lane, type Load, type Shipment } from './lane.ts';
import type { OpenSender, SenderConfig } from './open-sender.ts';
import type { PipelineLimits } from './pipeline.ts';
import type { Sender, SendResult } from './sender.ts';

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

interface OpenLane {
  readonly lane: Lane;
  readonly news: Wake;
}

/** What becomes of one try. */
type Verdict = 'done' | 'set-aside' | 'again' | 'divide' | 'split' | 'stopped';

export function createDelivery(options: DeliveryOptions): Delivery {
  const { config, limits, figures, logger, signal, onChange } = options;
  const lanes = new Map<string, OpenLane>();
  const running = new Set<Promise<void>>();
  const backoff = createBackoff({ minMs: limits.pushRetryMinMs, maxMs: limits.pushRetryMaxMs });
  let sender: Sender = options.openSender(config);
  const senders = [sender];
  let fallback: string | null = null;
  const inFlight = { batches: 0, bytes: 0, items: 0 };
  let setAsideInARow = 0;
  let trouble: Delivery['trouble'] = null;

  /** Until the lane is empty. What is under way beside another load goes out in order, and again in order. */
  async function runLane(name: string, { lane, news }: OpenLane): Promise<void> {
    const underWay = new Set<Promise<void>>();
    const retrying = new Set<Load>();
    const anyEnd = () => Promise.race(underWay);
    while (!signal.aborted && (!lane.isEmpty || underWay.size > 0)) {
      const isBusy = underWay.size >= (config.inFlight ?? 1) || (retrying.size > 0 && underWay.size > 0);
      if (lane.isEmpty || isBusy) {
        await news.wait();
        continue;
      }
      const load = lane.take();
      const work = deliver(lane, load, { retrying, anyEnd }).then((verdict) => {
        retrying.delete(load);
        underWay.delete(work);
        conclude(lane, load, verdict);
        news.wake();
      });
      underWay.add(work);
    }
    // Without a wait in between: what is added from here on begins a lane anew.
    if (lane.isEmpty && underWay.size === 0) lanes.delete(name);
    await Promise.all(underWay);
  }

  function conclude(lane: Lane, load: Load, verdict: Exclude<Verdict, 'again'>): void {
    if (verdict === 'stopped') return;
    if (verdict === 'divide') {
      lane.divide(load);
    } else if (verdict === 'split') {
      const [whole] = load.shipments;
      const pieces = lane.split(load);
      count(whole!, -1);
      if (pieces.length > 0) whole!.entry.split(pieces.length);
      else leaveOut(whole!);
      for (const piece of pieces) count(piece, 1);
    } else {
      lane.settle(load, verdict === 'done');
      for (const shipment of load.shipments) {
        count(shipment, -1);
        shipment.entry.settle();
      }
    }
    onChange();
  }

  /** Pieces have rows with a parent alone: here there are none. */
  function leaveOut({ entry }: Shipment): void {
    options.onSetAside(entry, 'The batch is too large for the target, and no row that could go alone has its parent');
    entry.settle();
  }

  function count({ bytes, facts }: Shipment, sign: 1 | -1): void {
    inFlight.batches += sign;
    inFlight.bytes += sign * bytes;
    inFlight.items += sign * facts.items;
  }

  /** Tries until the target has it, it is given up, or there is an end to trying. */
  async function deliver(
    lane: Lane,
    load: Load,
    { retrying, anyEnd }: { readonly retrying: Set<Load>; readonly anyEnd: () => Promise<void> },
  ): Promise<Exclude<Verdict, 'again'>> {
    let refusals = 0;
    for (;;) {
      if (!(await pause())) return 'stopped';
      if (retrying.has(load) && !lane.isFirst(load)) {
        // What is before it is tried again first.
        await anyEnd();
        continue;
      }
      const used = sender;
      const epoch = backoff.epoch();
      const result = await sendBy(used, load);
      // A stop, too, is followed by another try.
      if (result.outcome === 'retry' && result.mayHaveArrived) figures.resentBatches += load.shipments.length;
      // Its connection was cut because the exporter stops.
      if (signal.aborted && result.outcome !== 'ok') return 'stopped';
      if (result.outcome === 'refused') refusals++;
      const verdict = judge(load, result, { used, epoch, refusals });
      onChange();
      if (verdict !== 'again') return verdict;
      retrying.add(load);
    }
  }

  /** False when the exporter stops. */
  async function pause(): Promise<boolean> {
    for (let ms = backoff.waitMs(); ms > 0 && !signal.aborted; ms = backoff.waitMs()) {
      await sleep(ms, undefined, { signal }).catch(() => {});
    }
    return !signal.aborted;
  }

  async function sendBy(used: Sender, load: Load): Promise<SendResult> {
    try {
      return await used.send(load.batch(), load.facts);
    } catch (error) {
      return { outcome: 'refused', reason: `Cannot send: ${errorMessage(error)}`, fault: 'batch' };
    }
  }

  function judge(
    load: Load,
    result: SendResult,
    { used, epoch, refusals }: { used: Sender; epoch: number; refusals: number },
  ): Verdict {
    const isSeveral = load.shipments.length > 1;
    switch (result.outcome) {
      case 'ok':
        return accept(load, result);
      case 'retry':
        return retry('retrying', result.reason, epoch, result.afterMs);
      case 'too-large':
        if (isSeveral) return 'divide';
        if (load.facts.items > 1) return 'split';
        return giveUp(load, `${result.reason}, and a single item cannot be split`, epoch);
      case 'unimplemented':
        // Another lane may have changed it meanwhile.
        if (used === sender && !fallBack(result.reason)) return retry('failed', result.reason, epoch);
        return 'again';
      case 'refused':
        if (result.fault === 'target') return retry('failed', result.reason, epoch);
        if (isSeveral) return 'divide';
        if (result.isFinal === true) return giveUp(load, result.reason, epoch);
        if (refusals < limits.exportTriesMax) return retry('retrying', result.reason, epoch);
        return giveUp(load, `${result.reason} (${refusals} tries)`, epoch);
    }
  }

  function accept(load: Load, result: SendResult & { outcome: 'ok' }): Verdict {
    const { facts } = load;
    backoff.succeeded();
    setAsideInARow = 0;
    trouble = null;
    figures.error = null;
    figures.sentBatches += load.shipments.length;
    const items = facts.items === 0 ? countItems(load.batch()) : facts.items;
    // A target that counts otherwise must not make the count of what was sent go back.
    const rejectedItems = Math.min(result.rejectedItems, items);
    figures.sentItems += items - rejectedItems;
    figures.rejectedItems += rejectedItems;
    figures.sentBytes += result.bytes;
    countOrphans(load, result.orphanRows ?? 0);
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

  /** Told once: a source that sends such rows sends them all the time. */
  function countOrphans({ facts }: Load, rows: number): void {
    if (rows > 0 && figures.orphanRows === 0) {
      logger.warn('Rows are left out: OTLP cannot hold rows without the row that they belong to', {
        exporter: config.name,
        offset: facts.offset,
        rows,
      });
    }
    figures.orphanRows += rows;
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
  function giveUp({ shipments }: Load, reason: string, epoch: number): Verdict {
    if (setAsideInARow >= limits.exportSetAsideRunMax) {
      return retry('failed', `${setAsideInARow} batches in a row were refused, the next one too: ${reason}`, epoch);
    }
    setAsideInARow++;
    trouble = null;
    figures.error = reason;
    backoff.succeeded();
    options.onSetAside(shipments[0]!.entry, reason);
    return 'set-aside';
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

  return {
    get isFull() {
      const { batches, bytes, items } = inFlight;
      return (
        batches >= limits.pushBatchesMax || bytes >= limits.pushInFlightBytesMax || items >= limits.pushInFlightItemsMax
      );
    },
    get trouble() {
      return trouble;
    },
    get fallback() {
      return fallback;
    },
    add(name, shipment) {
      count(shipment, 1);
      const known = lanes.get(name);
      if (known !== undefined) {
        known.lane.add(shipment);
        known.news.wake();
        return;
      }
      const opened: OpenLane = { lane: createLane(limits), news: createWake() };
      opened.lane.add(shipment);
      lanes.set(name, opened);
      const work = runLane(name, opened);
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
