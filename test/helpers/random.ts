/** A seeded random generator (mulberry32): the same seed gives the same run on every machine. */
export interface Random {
  /** 0 <= result < 1. */
  next(): number;
  /** 0 <= result < bound, whole. */
  below(bound: number): number;
  pick<Item>(items: readonly Item[]): Item;
}

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number) => Math.floor(next() * bound);
  return { next, below, pick: (items) => items[below(items.length)]! };
}

/** Damages bytes in one of the ways that wires, disks and attackers do. Never returns the input itself. */
export function mutate(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length);
  const copy = Uint8Array.from(bytes);
  switch (random.below(8)) {
    case 0:
      copy[at] = copy[at]! ^ (1 << random.below(8));
      return copy;
    case 1:
      copy[at] = random.pick([0, 1, 0x7f, 0x80, 0xff]);
      return copy;
    case 2:
      return copy.subarray(0, at);
    case 3:
      return Buffer.concat([
        copy.subarray(0, at),
        Buffer.alloc(1 + random.below(16), random.below(256)),
        copy.subarray(at),
      ]);
    case 4:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(Math.min(copy.length, at + 1 + random.below(64)))]);
    case 5:
      return Buffer.concat([copy.subarray(0, at), bytes.subarray(random.below(bytes.length))]);
    case 6: {
      const word = new DataView(copy.buffer);
      if (at + 4 <= copy.length) word.setUint32(at, random.pick([0, 1, 0x7fffffff, 0x80000000, 0xffffffff]), true);
      return copy;
    }
    default:
      for (let left = 1 + random.below(8); left > 0; left--) copy[random.below(copy.length)] = random.below(256);
      return copy;
  }
}
