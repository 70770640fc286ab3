import type { HistogramColumns } from './histogram-columns.ts';
import { areAlike, type HistogramForm } from './histogram-form.ts';
import { isReset } from './histogram-reset.ts';

/** Whether the counter that stood at index `before` was reset before index `now`, by its counts alone. */
export function hasFallen(columns: HistogramColumns, before: number, now: number): boolean {
  return (compareNeighbours(columns, before, now) & FALLEN) !== 0;
}

/** What a comparison found: a count that fell; buckets that are empty in one of both only, or that one of both has not. */
export const FALLEN = 1;
export const OTHER_BUCKETS = 2;
/** Stands beside the findings that columns keep. */
export const COMPARED = 4;

/** Both findings, added up. */
export function compareNeighbours(columns: HistogramColumns, before: number, now: number): number {
  const { counts, zeroCounts, formOf, pageOf } = columns;
  const form = columns.forms[formOf[now]!]!;
  const formBefore = columns.forms[formOf[before]!]!;
  if (form !== formBefore || !columns.arePlain[formOf[now]!]) return compareForms(columns, before, now);
  if (columns.changes[now] !== 0 && before === now - 1) return columns.changes[now]! & (FALLEN | OTHER_BUCKETS);
  let found = counts[now]! < counts[before]! || zeroCounts[now]! < zeroCounts[before]! ? FALLEN : 0;
  const page = columns.pages[pageOf[now]!]!;
  const pageBefore = columns.pages[pageOf[before]!]!;
  let at = columns.startOf[now]!;
  const end = at + form.positiveSize;
  for (let from = columns.startOf[before]!; at < end; at++, from++) {
    const was = pageBefore[from]!;
    const is = page[at]!;
    if (is === was) continue;
    if (was === 0 || is === 0) found |= OTHER_BUCKETS;
    if (was !== 0 && is < was) found |= FALLEN;
  }
  return form.negativeSize === 0 ? found : found | compareNegative(columns, before, now);
}

function compareNegative(columns: HistogramColumns, before: number, now: number): number {
  const { pageOf, negativePages, negativeStartOf } = columns;
  const page = negativePages[pageOf[now]!]!;
  const pageBefore = negativePages[pageOf[before]!]!;
  const start = negativeStartOf[now]!;
  const startBefore = negativeStartOf[before]!;
  let found = 0;
  for (let at = 0; at < columns.formAt(now).negativeSize; at++) {
    const was = pageBefore[startBefore + at]!;
    const is = page[start + at]!;
    if (was === 0 || is === 0) found |= OTHER_BUCKETS;
    if (was !== 0 && is < was) found |= FALLEN;
  }
  return found;
}

/** Of different forms, or of buckets in the zero bucket. */
function compareForms(columns: HistogramColumns, before: number, now: number): number {
  const { formOf, arePlain, counts, zeroCounts } = columns;
  const form = columns.formAt(now);
  const formBefore = columns.formAt(before);
  if (!arePlain[formOf[now]!] || !arePlain[formOf[before]!] || !areAlike(form, formBefore)) {
    const current = columns.unhinted(now);
    return OTHER_BUCKETS | (isReset(current, columns.unhinted(before)) ? FALLEN : 0);
  }
  const hasLess =
    counts[now]! < counts[before]! ||
    zeroCounts[now]! < zeroCounts[before]! ||
    isSideLess(positiveSide(columns, now, form), positiveSide(columns, before, formBefore)) ||
    isSideLess(negativeSide(columns, now, form), negativeSide(columns, before, formBefore));
  return OTHER_BUCKETS | (hasLess ? FALLEN : 0);
}

interface Side {
  readonly page: Float64Array;
  readonly start: number;
  readonly first: number;
  readonly size: number;
}

function positiveSide(columns: HistogramColumns, at: number, form: HistogramForm): Side {
  const { pages, pageOf, startOf } = columns;
  return { page: pages[pageOf[at]!]!, start: startOf[at]!, first: form.positiveFirst, size: form.positiveSize };
}

function negativeSide(columns: HistogramColumns, at: number, form: HistogramForm): Side {
  const { negativePages, pageOf, negativeStartOf } = columns;
  const page = negativePages[pageOf[at]!]!;
  return { page, start: negativeStartOf[at]!, first: form.negativeFirst, size: form.negativeSize };
}

function isSideLess(now: Side, before: Side): boolean {
  for (let at = 0; at < before.size; at++) {
    const was = before.page[before.start + at]!;
    if (was === 0) continue;
    const place = before.first + at - now.first;
    const is = place >= 0 && place < now.size ? now.page[now.start + place]! : 0;
    if (is < was) return true;
  }
  return false;
}
