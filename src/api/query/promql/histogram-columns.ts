import { areAlike, areEqualForms, formKey, type HistogramForm, isPlain } from './histogram-form.ts';
import { hasFallen } from './histogram-neighbours.ts';
import { histogramWeight } from './histogram-weight.ts';
import type { CounterResetHint, FloatHistogram, SparseBuckets } from './histogram.ts';
import { SparseReader } from './sparse-buckets.ts';

/** Hints by their codes. */
const HINTS: readonly CounterResetHint[] = ['unknown', 'reset', 'not_reset', 'gauge'];
export const UNKNOWN = 0;
export const RESET = 1;
export const NOT_RESET = 2;
export const GAUGE = 3;
/** What storage knows: a comparison with the one before will tell whether it is unknown or none. */
export const UNTOLD = 4;

/**
 * Many native histograms, of one series or of many, by index: a number of each in columns, their buckets one beside the other in pages of numbers that columns
 * may share. Objects are made only of those that somebody asks for.
 */
export class HistogramColumns {
  length = 0;
  /** Forms by their numbers; each stands once. */
  readonly forms: HistogramForm[] = [];
  /** Whether sums go bucket by bucket, by number of form. */
  readonly arePlain: boolean[] = [];
  formOf: Uint32Array;
  /** Codes of hints. */
  hints: Uint8Array;
  zeroCounts: Float64Array;
  counts: Float64Array;
  sums: Float64Array;
  /** Positive and negative buckets of index i begin in `pages[pageOf[i]]` at `startOf[i]`, in `negativePages[pageOf[i]]` at `negativeStartOf[i]`. */
  readonly pages: Float64Array[] = [];
  readonly negativePages: Float64Array[] = [];
  pageOf: Uint32Array;
  startOf: Uint32Array;
  negativeStartOf: Uint32Array;
  /** What they count as against the limit of samples; 0 while that is not known. */
  weights: Float64Array;
  /** What is known of a comparison with the one before: 0 for nothing, else `COMPARED` and what `compareNeighbours` finds, added up. */
  changes: Uint8Array;
  #formNumber = -1;
  readonly #numbers = new Map<string, number>();
  readonly #positive = new SparseReader();
  readonly #negative = new SparseReader();
  /** Room for buckets: a page of its own, and how much of it is taken. */
  #room: Float64Array = NO_NUMBERS;
  #roomPage = 0;
  #taken = 0;
  /** Pages that were cleared. */
  #spare: Float64Array[] = [];

  constructor(capacity = 16) {
    this.formOf = new Uint32Array(capacity);
    this.hints = new Uint8Array(capacity);
    this.zeroCounts = new Float64Array(capacity);
    this.counts = new Float64Array(capacity);
    this.sums = new Float64Array(capacity);
    this.pageOf = new Uint32Array(capacity);
    this.startOf = new Uint32Array(capacity);
    this.negativeStartOf = new Uint32Array(capacity);
    this.weights = new Float64Array(capacity);
    this.changes = new Uint8Array(capacity);
  }

  /** Histograms whose numbers lie in columns already, all on page 0, which is yet to be added, as are their forms and hints; none can be put behind them. */
  static over({ counts, sums, zeroCounts }: GivenNumbers, { starts, negativeStarts }: GivenStarts): HistogramColumns {
    const columns = new HistogramColumns(0);
    columns.length = counts.length;
    columns.counts = counts;
    columns.sums = sums;
    columns.zeroCounts = zeroCounts;
    columns.startOf = starts;
    columns.negativeStartOf = negativeStarts;
    columns.formOf = new Uint32Array(counts.length);
    columns.hints = new Uint8Array(counts.length);
    columns.pageOf = new Uint32Array(counts.length);
    columns.weights = new Float64Array(counts.length);
    columns.changes = new Uint8Array(counts.length);
    return columns;
  }

  /** The number of a form: mostly the one that was asked for before. */
  formNumber(form: HistogramForm): number {
    const before = this.forms[this.#formNumber];
    if (before !== undefined && (before === form || areEqualForms(before, form))) return this.#formNumber;
    this.#formNumber = this.#numberOf(form);
    return this.#formNumber;
  }

  #numberOf(form: HistogramForm): number {
    const key = formKey(form);
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.forms.push(form) - 1;
      this.arePlain.push(isPlain(form));
      this.#numbers.set(key, number);
    }
    return number;
  }

  /** Registers numbers that lie elsewhere; gives the number of the page. */
  addPage(positive: Float64Array, negative: Float64Array): number {
    this.negativePages.push(negative);
    return this.pages.push(positive) - 1;
  }

  /** One more histogram, whose buckets lie where it says; its other numbers are to be filled in. Gives its index. */
  add(form: number, hint: number, page: number, start: number, negativeStart: number): number {
    const index = this.length++;
    if (index === this.formOf.length) this.#grow(2 * index);
    this.formOf[index] = form;
    this.hints[index] = hint;
    this.pageOf[index] = page;
    this.startOf[index] = start;
    this.negativeStartOf[index] = negativeStart;
    return index;
  }

  /** One more histogram with empty buckets of its own. */
  addEmpty(form: number, hint: number): number {
    const { positiveSize, negativeSize } = this.forms[form]!;
    const start = this.take(positiveSize + negativeSize);
    return this.add(form, hint, this.#roomPage, start, start + positiveSize);
  }

  /** Takes the last one back, which `addEmpty` gave. */
  dropLast(): void {
    this.length--;
    const { positiveSize, negativeSize } = this.formAt(this.length);
    const start = this.startOf[this.length]!;
    this.#room.fill(0, start, start + positiveSize + negativeSize);
    this.#taken = start;
    this.weights[this.length] = 0;
  }

  /** Room for `size` numbers, all 0, on the page `roomPage`: where it begins. */
  take(size: number): number {
    if (this.#room === NO_NUMBERS || this.#taken + size > this.#room.length) {
      this.#room = this.#spareRoom(size) ?? new Float64Array(this.#roomLength(size));
      this.#roomPage = this.addPage(this.#room, this.#room);
      this.#taken = 0;
    }
    const start = this.#taken;
    this.#taken += size;
    return start;
  }

  #roomLength(size: number): number {
    return Math.max(size, Math.min(2 * this.#room.length, PAGE_LENGTH_MAX), PAGE_LENGTH_MIN);
  }

  /** The largest comes first. */
  #spareRoom(size: number): Float64Array | undefined {
    const room = this.#spare.at(-1);
    if (room === undefined || room.length < size) return undefined;
    this.#spare.pop();
    return room.fill(0);
  }

  /** Bytes of numbers, when all pages are its own. */
  ownBytes(): number {
    const pages = [...this.pages, ...this.#spare];
    return BYTES_EACH * this.formOf.length + pages.reduce((bytes, page) => bytes + page.byteLength, 0);
  }

  /** Forgets all histograms and keeps the room that they took; all pages must be its own. */
  clear(): void {
    this.weights.fill(0, 0, this.length);
    this.changes.fill(0, 0, this.length);
    this.length = 0;
    this.forms.length = 0;
    this.arePlain.length = 0;
    this.#formNumber = -1;
    this.#numbers.clear();
    this.#spare = [...this.#spare, ...this.pages].sort((left, right) => left.length - right.length);
    this.pages.length = 0;
    this.negativePages.length = 0;
    this.#room = NO_NUMBERS;
    this.#taken = 0;
  }

  /** The page that `take` gave room on. */
  get roomPage(): number {
    return this.#roomPage;
  }

  formAt(index: number): HistogramForm {
    return this.forms[this.formOf[index]!]!;
  }

  hintAt(index: number): CounterResetHint {
    if (this.hints[index] === UNTOLD) this.hints[index] = this.#isGoingOn(index) ? NOT_RESET : UNKNOWN;
    return HINTS[this.hints[index]!]!;
  }

  at(index: number): FloatHistogram {
    return this.#make(index, this.hintAt(index));
  }

  /** The same with nothing known of the one before. */
  unhinted(index: number): FloatHistogram {
    return this.#make(index, 'unknown');
  }

  #make(index: number, counterReset: CounterResetHint): FloatHistogram {
    const { schema, zeroThreshold, customValues } = this.formAt(index);
    return {
      schema,
      counterReset,
      zeroThreshold,
      zeroCount: this.zeroCounts[index]!,
      count: this.counts[index]!,
      sum: this.sums[index]!,
      positive: this.#sparsePositive(index),
      negative: this.#sparseNegative(index),
      customValues,
    };
  }

  #sparsePositive(index: number): SparseBuckets {
    const { positiveFirst, positiveSize } = this.formAt(index);
    const start = this.startOf[index]!;
    return this.#positive.read(this.pages[this.pageOf[index]!]!, start, start + positiveSize, positiveFirst);
  }

  #sparseNegative(index: number): SparseBuckets {
    const { negativeFirst, negativeSize } = this.formAt(index);
    const start = this.negativeStartOf[index]!;
    return this.#negative.read(this.negativePages[this.pageOf[index]!]!, start, start + negativeSize, negativeFirst);
  }

  /** How many float samples it counts as. */
  weight(index: number): number {
    if (this.weights[index] === 0) this.weights[index] = this.#weigh(index);
    return this.weights[index]!;
  }

  /** Multiplies everything that is counted. */
  multiply(index: number, factor: number): void {
    const { positiveSize, negativeSize } = this.formAt(index);
    this.zeroCounts[index]! *= factor;
    this.counts[index]! *= factor;
    this.sums[index]! *= factor;
    const page = this.pages[this.pageOf[index]!]!;
    const start = this.startOf[index]!;
    for (let at = start; at < start + positiveSize; at++) page[at]! *= factor;
    if (negativeSize === 0) return;
    const negativePage = this.negativePages[this.pageOf[index]!]!;
    const negativeStart = this.negativeStartOf[index]!;
    for (let at = negativeStart; at < negativeStart + negativeSize; at++) negativePage[at]! *= factor;
  }

  /** Whether its buckets take little more room than those of an object would. */
  isDense(index: number): boolean {
    const { positiveSize, negativeSize } = this.formAt(index);
    return positiveSize + negativeSize <= EMPTY_BUCKETS_MAX || this.#isMostlyUsed(index);
  }

  #isMostlyUsed(index: number): boolean {
    const { positiveSize, negativeSize } = this.formAt(index);
    const page = this.pageOf[index]!;
    const positive = usedBuckets(this.pages[page]!, this.startOf[index]!, positiveSize);
    const negative = usedBuckets(this.negativePages[page]!, this.negativeStartOf[index]!, negativeSize);
    return positiveSize + negativeSize <= EMPTY_BUCKETS_MAX + ROOM_FACTOR * (positive.counts + negative.counts);
  }

  #weigh(index: number): number {
    const { positiveSize, negativeSize, customValues } = this.formAt(index);
    const page = this.pageOf[index]!;
    const positive = usedBuckets(this.pages[page]!, this.startOf[index]!, positiveSize);
    if (negativeSize === 0) return histogramWeight(positive.spans, positive.counts + customValues.length);
    const negative = usedBuckets(this.negativePages[page]!, this.negativeStartOf[index]!, negativeSize);
    return histogramWeight(positive.spans + negative.spans, positive.counts + negative.counts + customValues.length);
  }

  /** What one chunk of Prometheus' storage cannot hold (another schema, zero bucket or bounds) begins another, and so does a reset. */
  #isGoingOn(index: number): boolean {
    return areAlike(this.formAt(index - 1), this.formAt(index)) && !hasFallen(this, index - 1, index);
  }

  #grow(capacity: number): void {
    this.formOf = longer(new Uint32Array(capacity), this.formOf);
    this.hints = longer(new Uint8Array(capacity), this.hints);
    this.zeroCounts = longer(new Float64Array(capacity), this.zeroCounts);
    this.counts = longer(new Float64Array(capacity), this.counts);
    this.sums = longer(new Float64Array(capacity), this.sums);
    this.pageOf = longer(new Uint32Array(capacity), this.pageOf);
    this.startOf = longer(new Uint32Array(capacity), this.startOf);
    this.negativeStartOf = longer(new Uint32Array(capacity), this.negativeStartOf);
    this.weights = longer(new Float64Array(capacity), this.weights);
    this.changes = longer(new Uint8Array(capacity), this.changes);
  }
}

type GivenNumbers = Readonly<Pick<HistogramColumns, 'counts' | 'sums' | 'zeroCounts'>>;

/** Where buckets of each begin. */
interface GivenStarts {
  readonly starts: Uint32Array;
  readonly negativeStarts: Uint32Array;
}

const NO_NUMBERS = new Float64Array(0);

/** Of all columns beside the pages. */
const BYTES_EACH = 50;

/** An object takes as much room without any bucket. */
const EMPTY_BUCKETS_MAX = 64;

/** Numbers for each bucket that is used. */
const ROOM_FACTOR = 4;

/** A histogram or two. */
const PAGE_LENGTH_MIN = 256;

/** 512 KiB. */
const PAGE_LENGTH_MAX = 65_536;

function longer<Column extends Float64Array | Uint32Array | Uint8Array>(column: Column, before: Column): Column {
  column.set(before);
  return column;
}

/** How many buckets count something, and in how many runs they stand. */
function usedBuckets(page: Float64Array, start: number, size: number): { counts: number; spans: number } {
  let counts = 0;
  let spans = 0;
  let isEmpty = true;
  for (let at = start; at < start + size; at++) {
    if (page[at] === 0) {
      isEmpty = true;
      continue;
    }
    counts++;
    if (isEmpty) spans++;
    isEmpty = false;
  }
  return { counts, spans };
}
