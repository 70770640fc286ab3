/**
 * The labels of a series: name and value pairs, sorted by name, no name twice, no empty value (an empty value is an absent label).
 * Never changed after it is made, so one may be shared by many series and kept as a key's owner.
 */
export class Labels {
  #key: string | undefined;
  readonly names: readonly string[];
  readonly values: readonly string[];

  private constructor(names: readonly string[], values: readonly string[]) {
    this.names = names;
    this.values = values;
  }

  static get empty(): Labels {
    return NO_LABELS;
  }

  /** A key that equal label sets, and only they, share. Made when it is first asked for: most label sets on the way to a result never are. */
  get key(): string {
    this.#key ??= keyOf(this.names, this.values);
    return this.#key;
  }

  /** From pairs in any order; pairs with an empty value are left out, and of pairs with equal names the last one counts. */
  static of(pairs: Iterable<readonly [name: string, value: string]>): Labels {
    const byName = new Map<string, string>();
    for (const [name, value] of pairs) byName.set(name, value);
    const names = [...byName.keys()].filter((name) => byName.get(name) !== '').sort(compareStrings);
    return new Labels(
      names,
      names.map((name) => byName.get(name)!),
    );
  }

  /** From names that are sorted and unique already, with values that are not empty: nothing is checked. */
  static ofSorted(names: readonly string[], values: readonly string[]): Labels {
    return new Labels(names, values);
  }

  /** The value of `name`, '' when the label is absent. */
  get(name: string): string {
    const index = this.names.indexOf(name);
    return index === -1 ? '' : this.values[index]!;
  }

  /** Only the labels whose names are in `kept`. */
  keep(kept: ReadonlySet<string>): Labels {
    return this.#filter(kept, true);
  }

  /** All labels but those whose names are in `dropped`. */
  drop(dropped: ReadonlySet<string>): Labels {
    return this.#filter(dropped, false);
  }

  /** With `name` set to `value`; '' takes the label away. */
  with(name: string, value: string): Labels {
    const at = this.names.indexOf(name);
    if (value === '') return at === -1 ? this : this.drop(new Set([name]));
    if (at !== -1) return new Labels(this.names, this.values.with(at, value));
    const { names, at: place } = withName(this.names, name);
    return new Labels(names, this.values.toSpliced(place, 0, value));
  }

  *pairs(): Generator<readonly [name: string, value: string]> {
    for (let index = 0; index < this.names.length; index++) yield [this.names[index]!, this.values[index]!];
  }

  #filter(listed: ReadonlySet<string>, isKept: boolean): Labels {
    const { places, names } = picked(this.names, listed, isKept);
    if (names === this.names) return this;
    const values: string[] = [];
    for (const place of places) values.push(this.values[place]!);
    return new Labels(names, values);
  }
}

// Not a static field: TypeScript 7.0 gives a class that names itself in one another name, which is set too late.
const NO_LABELS = Labels.ofSorted([], []);

/** Orders strings by their UTF-8 bytes, as Go does; JavaScript's own order differs beyond U+FFFF. */
export function compareStrings(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const a = left.charCodeAt(index);
    const b = right.charCodeAt(index);
    if (a !== b) return byteRank(a) - byteRank(b);
  }
  return left.length - right.length;
}

/** Orders label sets as upstream does: by the first pair that differs, names before values. */
export function compareLabels(left: Labels, right: Labels): number {
  if (left.names === right.names) return compareValues(left.values, right.values);
  const length = Math.min(left.names.length, right.names.length);
  for (let index = 0; index < length; index++) {
    const byName = compareStrings(left.names[index]!, right.names[index]!);
    if (byName !== 0) return byName;
    const byValue = compareStrings(left.values[index]!, right.values[index]!);
    if (byValue !== 0) return byValue;
  }
  return left.names.length - right.names.length;
}

function compareValues(left: readonly string[], right: readonly string[]): number {
  for (let index = 0; index < left.length; index++) {
    if (left[index] === right[index]) continue;
    return compareStrings(left[index]!, right[index]!);
  }
  return 0;
}

/** Some names out of a list of them: which places, and as a list. */
interface PickedNames {
  readonly from: readonly string[];
  readonly listed: ReadonlySet<string>;
  readonly isKept: boolean;
  readonly places: readonly number[];
  /** `from` itself when none is left out. */
  readonly names: readonly string[];
}

interface AddedName {
  readonly from: readonly string[];
  readonly name: string;
  readonly names: readonly string[];
  readonly at: number;
}

/** Label sets of one metric share their list of names, so what was worked out for one nearly always serves the next. */
const REMEMBERED = 8;
const pickedBefore: PickedNames[] = [];
const addedBefore: AddedName[] = [];

function picked(from: readonly string[], listed: ReadonlySet<string>, isKept: boolean): PickedNames {
  for (const before of pickedBefore)
    if (before.from === from && before.listed === listed && before.isKept === isKept) return before;
  const places: number[] = [];
  for (let place = 0; place < from.length; place++) if (listed.has(from[place]!) === isKept) places.push(place);
  const names = places.length === from.length ? from : places.map((place) => from[place]!);
  const found = { from, listed, isKept, places, names };
  remember(pickedBefore, found);
  return found;
}

function withName(from: readonly string[], name: string): AddedName {
  for (const before of addedBefore) if (before.from === from && before.name === name) return before;
  let at = 0;
  while (at < from.length && compareStrings(from[at]!, name) < 0) at++;
  const found = { from, name, names: from.toSpliced(at, 0, name), at };
  remember(addedBefore, found);
  return found;
}

function remember<T>(before: T[], found: T): void {
  before.unshift(found);
  if (before.length > REMEMBERED) before.pop();
}

/** Surrogates stand for code points above all others, though their own numbers lie below U+E000. */
function byteRank(codeUnit: number): number {
  return codeUnit >= 0xd800 && codeUnit <= 0xdfff ? codeUnit + 0x10000 : codeUnit;
}

/** Lengths in front of the texts, since a label may hold any character. */
function keyOf(names: readonly string[], values: readonly string[]): string {
  let key = '';
  for (let index = 0; index < names.length; index++) {
    key += `${names[index]!.length}:${names[index]!}${values[index]!.length}:${values[index]!}`;
  }
  return key;
}
