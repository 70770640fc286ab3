/**
 * Bodies while they arrive, over all connections. They count in a bound of their own: were they in the bytes in flight, slow senders
 * would hold up the streams and requests of every transport until their time is over.
 */

/** The bodies that arrive at one port. */
export interface ArrivingBodies {
  /** What has come of those that are not taken yet. */
  readonly bytes: number;
  /** Begins to count a body. `giveWay` is called when its room is needed: nothing of it counts any more then. */
  open(giveWay: () => void): ArrivingBody;
}

/** One of them. */
export interface ArrivingBody {
  /** A part has come. False when there is no room for it, though all that may has given way. */
  take(bytes: number): boolean;
  /** It is whole: it no longer gives way, and counts until it is released. */
  complete(): void;
  /** It is taken or given up. May be called again. */
  release(): void;
}

/**
 * Makes the books for at most `bytesMax`. Past it the body that has been silent longest gives way: a sender that is served well is
 * silent for milliseconds, one that stalls or trickles for longer, so it is its own kind that who fills the bound drives out. Were
 * new bodies refused instead, a few who stall could keep all others out.
 */
export function createArrivingBodies(bytesMax: number): ArrivingBodies {
  /** Those that may give way, the most silent first. */
  const arriving = new Set<Arriving>();
  let bytes = 0;

  function makeRoom(body: Arriving): boolean {
    for (const other of arriving) {
      if (bytes <= bytesMax) return true;
      if (other === body) continue;
      other.release();
      other.giveWay();
    }
    return bytes <= bytesMax;
  }

  return {
    get bytes() {
      return bytes;
    },
    open(giveWay) {
      let ownBytes = 0;
      const body: Arriving = {
        giveWay,
        take(partBytes) {
          bytes += partBytes;
          ownBytes += partBytes;
          arriving.delete(body);
          arriving.add(body);
          return makeRoom(body);
        },
        complete() {
          arriving.delete(body);
        },
        release() {
          arriving.delete(body);
          bytes -= ownBytes;
          ownBytes = 0;
        },
      };
      return body;
    },
  };
}

interface Arriving extends ArrivingBody {
  readonly giveWay: () => void;
}
