/** Places of requests that are worked on: how many at a time, how many wait, and what answers hold that are done and not yet read. */

export interface Places {
  /** Requests that wait for a place. */
  readonly waiting: number;
  /** Calls `begin` when there is a place, at once or later. Undefined when too many wait already. */
  take(begin: () => void): Place | undefined;
}

export interface Place {
  /** The work is done, and what is left is to be read: its place is for the next one, unless answers that wait hold too many `bytes` already. */
  leave(bytes: number): void;
  /** Whether others cannot have it. */
  readonly isKept: boolean;
  /** All is over, or was given up. May be called again. */
  end(): void;
}

export interface PlacesOptions {
  readonly concurrencyMax: number;
  readonly queueMax: number;
  /** Of answers that left their places. */
  readonly heldBytesMax: number;
  /** Told how many are taken and how many requests wait. */
  readonly onLoad: (taken: number, waiting: number) => void;
}

export function createPlaces({ concurrencyMax, queueMax, heldBytesMax, onLoad }: PlacesOptions): Places {
  const waiting = new Set<TakenPlace>();
  /** Done, and too large to leave. */
  const keeping = new Set<TakenPlace>();
  let taken = 0;
  let heldBytes = 0;

  function beginNext(): void {
    for (const place of waiting) {
      if (taken >= concurrencyMax) break;
      waiting.delete(place);
      taken++;
      place.state = 'taken';
      place.begin();
    }
    onLoad(taken, waiting.size);
  }

  function leave(place: TakenPlace, bytes: number): void {
    if (place.state !== 'taken') return;
    place.bytes = bytes;
    if (heldBytes + bytes > heldBytesMax) {
      keeping.add(place);
      return;
    }
    keeping.delete(place);
    heldBytes += bytes;
    taken--;
    place.state = 'left';
    beginNext();
  }

  function end(place: TakenPlace): void {
    waiting.delete(place);
    keeping.delete(place);
    if (place.state === 'taken') taken--;
    if (place.state === 'left') heldBytes -= place.bytes;
    place.state = 'over';
    for (const large of keeping) leave(large, large.bytes);
    beginNext();
  }

  return {
    get waiting() {
      return waiting.size;
    },
    take(begin) {
      if (taken >= concurrencyMax && waiting.size >= queueMax) return undefined;
      const place: TakenPlace = { begin, state: 'waiting', bytes: 0 };
      waiting.add(place);
      beginNext();
      return {
        leave: (bytes) => leave(place, bytes),
        get isKept() {
          return place.state === 'taken';
        },
        end: () => end(place),
      };
    },
  };
}

interface TakenPlace {
  readonly begin: () => void;
  state: 'waiting' | 'taken' | 'left' | 'over';
  /** Held by its answer. */
  bytes: number;
}
