/** Digits of whole numbers, two at a time. Each writes to `view` from `at` on, where there must be room, and returns where it ended. */

export const ZERO = 0x30;
export const POINT = 0x2e;

/** Numbers below this can be written by `putWhole`. */
export const WHOLE_BELOW = 1e15;

/** A whole number that is not negative. */
export function putWhole(view: DataView, at: number, whole: number): number {
  if (whole < 1e8) return putSome(view, at, whole | 0);
  const high = Math.floor(whole / 1e8);
  return putEight(view, putSome(view, at, high | 0), (whole - 1e8 * high) | 0);
}

/** A number below 10^10 with zeros before it. */
export function putTen(view: DataView, at: number, whole: number): number {
  const high = Math.floor(whole / 1e8);
  putPair(view, at, high);
  return putEight(view, at + 2, (whole - 1e8 * high) | 0);
}

/** A number below 10^8 with zeros before it. */
export function putEight(view: DataView, at: number, whole: number): number {
  const high = (whole / 10_000) | 0;
  putFour(view, at, high);
  return putFour(view, at + 4, whole - 10_000 * high);
}

/** A number below 10^6 with zeros before it. */
export function putSix(view: DataView, at: number, whole: number): number {
  const high = (whole / 10_000) | 0;
  putPair(view, at, high);
  return putFour(view, at + 2, whole - 10_000 * high);
}

/** A number below 1000 with zeros before it. */
export function putThree(view: DataView, at: number, whole: number): number {
  const high = (whole / 10) | 0;
  putPair(view, at, high);
  view.setUint8(at + 2, ZERO + whole - 10 * high);
  return at + 3;
}

/** Below 10^8. */
function putSome(view: DataView, at: number, whole: number): number {
  if (whole < 100) return putFew(view, at, whole);
  const high = (whole / 100) | 0;
  const end = high < 100 ? putFew(view, at, high) : putMore(view, at, high);
  return putPair(view, end, whole - 100 * high);
}

/** From 100 on and below 10^6. */
function putMore(view: DataView, at: number, whole: number): number {
  const high = (whole / 100) | 0;
  if (high < 100) return putPair(view, putFew(view, at, high), whole - 100 * high);
  const highest = (high / 100) | 0;
  const end = putPair(view, putFew(view, at, highest), high - 100 * highest);
  return putPair(view, end, whole - 100 * high);
}

/** Below 100. */
function putFew(view: DataView, at: number, whole: number): number {
  if (whole >= 10) return putPair(view, at, whole);
  view.setUint8(at, ZERO + whole);
  return at + 1;
}

function putFour(view: DataView, at: number, whole: number): number {
  const high = (whole / 100) | 0;
  putPair(view, at, high);
  return putPair(view, at + 2, whole - 100 * high);
}

function putPair(view: DataView, at: number, whole: number): number {
  view.setUint16(at, pairs[whole]!, true);
  return at + 2;
}

/** By number below 100: its two digits as they stand in memory. */
const pairs = Uint16Array.from({ length: 100 }, (_, whole) => {
  const tens = Math.floor(whole / 10);
  return ZERO + tens + ((ZERO + whole - 10 * tens) << 8);
});
