import { formatFloat } from '../promql/format-float.ts';

/** Lists of bounds as texts. Many series have the same few lists: each is held once. */
export class BoundLists {
  readonly #byKey = new Map<string, readonly string[]>();
  readonly #texts = new Map<number, string>();
  readonly #withInfinity = new Map<readonly string[], readonly string[]>();
  #numbers = new Float64Array(0);
  #list: readonly string[] = this.#shared([]);

  /** The texts of `bounds[from .. until]`. */
  texts(bounds: Float64Array, from: number, until: number): readonly string[] {
    if (this.#isLast(bounds, from, until)) return this.#list;
    this.#numbers = bounds.slice(from, until);
    this.#list = this.#shared(Array.from(this.#numbers, (bound) => this.#text(bound)));
    return this.#list;
  }

  /** `left`, and what it lacks of `right`. */
  union(left: readonly string[], right: readonly string[]): readonly string[] {
    if (left === right || left.length === 0) return right;
    const texts = new Set([...left, ...right]);
    return texts.size === left.length ? left : this.#shared([...texts]);
  }

  /** With `+Inf`, which every histogram has. */
  withInfinity(list: readonly string[]): readonly string[] {
    let longer = this.#withInfinity.get(list);
    if (longer === undefined) {
      longer = list.includes('+Inf') ? list : this.#shared([...list, '+Inf']);
      this.#withInfinity.set(list, longer);
    }
    return longer;
  }

  #isLast(bounds: Float64Array, from: number, until: number): boolean {
    const numbers = this.#numbers;
    if (numbers.length !== until - from) return false;
    for (let at = 0; at < numbers.length; at++) if (!Object.is(numbers[at], bounds[from + at])) return false;
    return true;
  }

  /** -0 and 0 differ here, but not as keys. */
  #text(bound: number): string {
    if (bound === 0) return formatFloat(bound);
    let text = this.#texts.get(bound);
    if (text === undefined) this.#texts.set(bound, (text = formatFloat(bound)));
    return text;
  }

  #shared(texts: readonly string[]): readonly string[] {
    const unique = [...new Set(texts)];
    const key = unique.join(' ');
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    this.#byKey.set(key, unique);
    return unique;
  }
}
