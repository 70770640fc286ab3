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
    return this.#filter((name) => kept.has(name));
  }

  /** All labels but those whose names are in `dropped`. */
  drop(dropped: ReadonlySet<string>): Labels {
    return this.#filter((name) => !dropped.has(name));
  }

  /** With `name` set to `value`; '' takes the label away. */
  with(name: string, value: string): Labels {
    return Labels.of([...this.pairs(), [name, value]]);
  }

  *pairs(): Generator<readonly [name: string, value: string]> {
    for (let index = 0; index < this.names.length; index++) yield [this.names[index]!, this.values[index]!];
  }

  #filter(isKept: (name: string) => boolean): Labels {
    if (this.names.every(isKept)) return this;
    const names: string[] = [];
    const values: string[] = [];
    for (let index = 0; index < this.names.length; index++) {
      if (!isKept(this.names[index]!)) continue;
      names.push(this.names[index]!);
      values.push(this.values[index]!);
    }
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
  const length = Math.min(left.names.length, right.names.length);
  for (let index = 0; index < length; index++) {
    const byName = compareStrings(left.names[index]!, right.names[index]!);
    if (byName !== 0) return byName;
    const byValue = compareStrings(left.values[index]!, right.values[index]!);
    if (byValue !== 0) return byValue;
  }
  return left.names.length - right.names.length;
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
