import { compareStrings } from './labels.ts';

/** Orders texts so that runs of digits count as numbers: `node2` before `node10`. Source: facette/natsort. */
export function compareNaturally(left: string, right: string): number {
  if (left === right) return 0;
  // Upstream orders a label that is absent neither before nor behind another; an order that holds both ways puts it first.
  if (left === '') return -1;
  const leftParts = partsOf(left);
  const rightParts = partsOf(right);
  for (let index = 0; index < leftParts.length; index++) {
    // What goes on behind an equal beginning comes later.
    if (index >= rightParts.length) return 1;
    const a = leftParts[index]!;
    const b = rightParts[index]!;
    const isNumeric = isInteger(a) && isInteger(b);
    const areEqual = isNumeric ? Number(a) === Number(b) : a === b;
    if (areEqual) {
      if (index === leftParts.length - 1) return -1;
      if (index === rightParts.length - 1) return 1;
      continue;
    }
    if (isNumeric) return Number(a) < Number(b) ? -1 : 1;
    return compareStrings(a, b) < 0 ? -1 : 1;
  }
  return 1;
}

function partsOf(text: string): string[] {
  return text.match(/\d+|\D+/g) ?? [];
}

/** Longer runs are no int64 and compared as texts. */
function isInteger(part: string): boolean {
  return /^\d{1,18}$/.test(part);
}
