/** The batches of one lane in their order, and which of them go out as one: small ones would each cost a way to the target and back. */
import type { CanonicalBatch } from '../../otap/index.ts';
import type { OpenEntry } from './acked-offsets.ts';
import { concatBatches, countItems, splitBatch } from './encoders.ts';
import type { SendFacts } from './sender.ts';

/** A batch, or a piece of one. */
export interface Shipment {
  readonly batch: CanonicalBatch;
  readonly facts: SendFacts;
  /** What it counts for among the bytes in flight. */
  readonly bytes: number;
  readonly entry: OpenEntry;
}

/** Shipments that go out as one batch. */
export interface Load {
  readonly shipments: readonly Shipment[];
  /** Of the first, but for the items. */
  readonly facts: SendFacts;
  /** Made when it is asked for; throws what encoders throw. */
  batch(): CanonicalBatch;
  /** Where it is in the lane. */
  readonly place: number;
}

export type LaneLimits = {
  readonly [name in 'pushMergedBatchesMax' | 'pushMergedBytesMax' | 'pushItemsMax']: number;
};

export interface Lane {
  readonly isEmpty: boolean;
  /** Whether nothing that was taken before is still under way. */
  isFirst(load: Load): boolean;
  add(shipment: Shipment): void;
  /** The next ones, under way until one of the calls below. */
  take(): Load;
  /** It is acknowledged, or set aside. */
  settle(load: Load, isAcknowledged: boolean): void;
  /** One of several shipments is refused, and not known which: they come again in smaller loads, until it is alone. */
  divide(load: Load): void;
  /** A shipment alone comes again in pieces, which are handed back. */
  split(load: Load): readonly Shipment[];
}

export function createLane(limits: LaneLimits): Lane {
  const { pushMergedBatchesMax: widest } = limits;
  let waiting: Placed[] = [];
  const underWay = new Set<Load>();
  let places = 0;
  let width = widest;
  /** Shipments at the front among which one was refused. */
  let suspects = 0;

  function take(): Load {
    const first = waiting[0]!;
    let count = 1;
    let { bytes } = first.shipment;
    let { items } = first.shipment.facts;
    for (; count < Math.min(width, waiting.length); count++) {
      const { shipment } = waiting[count]!;
      bytes += shipment.bytes;
      items += shipment.facts.items;
      if (bytes > limits.pushMergedBytesMax || items > limits.pushItemsMax) break;
    }
    const taken = waiting.splice(0, count).map(({ shipment }) => shipment);
    const load = loadOf(taken, first.place);
    underWay.add(load);
    return load;
  }

  /** In their places: what is behind may have been put back before. */
  function putBack(place: number, shipments: readonly Shipment[]): void {
    waiting = [...shipments.map((shipment) => ({ place, shipment })), ...waiting].toSorted((a, b) => a.place - b.place);
  }

  return {
    get isEmpty() {
      return waiting.length === 0;
    },
    isFirst: (load) => [...underWay].every(({ place }) => place >= load.place),
    add: (shipment) => void waiting.push({ place: places++, shipment }),
    take,
    settle(load, isAcknowledged) {
      underWay.delete(load);
      suspects -= load.shipments.length;
      if (suspects <= 0) width = widest;
      else if (isAcknowledged) width = Math.min(widest, width * 2);
    },
    divide(load) {
      underWay.delete(load);
      suspects = Math.max(suspects, load.shipments.length);
      width = Math.max(1, load.shipments.length >> 1);
      putBack(load.place, load.shipments);
    },
    split(load) {
      underWay.delete(load);
      const pieces = piecesOf(load.shipments[0]!);
      putBack(load.place, pieces);
      suspects += pieces.length - 1;
      return pieces;
    },
  };
}

interface Placed {
  readonly place: number;
  readonly shipment: Shipment;
}

function loadOf(shipments: readonly Shipment[], place: number): Load {
  const { facts } = shipments[0]!;
  const items = shipments.reduce((sum, shipment) => sum + shipment.facts.items, 0);
  let batch: CanonicalBatch | null = null;
  return {
    shipments,
    facts: { ...facts, items },
    batch: () => (batch ??= concatBatches(shipments.map((shipment) => shipment.batch))),
    place,
  };
}

function piecesOf({ batch, facts, bytes, entry }: Shipment): readonly Shipment[] {
  const pieces = splitBatch(batch, Math.ceil(facts.items / 2));
  return pieces.map((piece) => ({
    batch: piece,
    facts: { ...facts, items: countItems(piece) },
    bytes: bytes / pieces.length,
    entry,
  }));
}
