import type { LabelMatcher } from './ast.ts';
import type { Labels } from './labels.ts';

/** Labels by which info series are found. */
export const IDENTIFYING_LABELS = ['instance', 'job'] as const;

/** Conditions on the names of info series: what was asked for, among names that end in `_info` when it only says what not; else `target_info`. */
export function nameMatchers(asked: readonly LabelMatcher[]): readonly LabelMatcher[] {
  if (asked.some(({ operator }) => operator === '=' || operator === '=~')) return asked;
  if (asked.length > 0) return [{ name: '__name__', operator: '=~', value: '.+_info' }, ...asked];
  return [{ name: '__name__', operator: '=', value: 'target_info' }];
}

/**
 * Conditions that select the info series of `series`: one list for each combination of identifying labels that they have, so that a series
 * without one of them finds only info series without it. None for series without any.
 */
export function identifyingMatchers(series: readonly Labels[]): LabelMatcher[][] {
  const groups = new Map<string, Set<string>[]>();
  for (const labels of series) {
    const values = IDENTIFYING_LABELS.map((name) => labels.get(name));
    if (values.every((value) => value === '')) continue;
    const presence = values.map((value) => Number(value !== '')).join('');
    let group = groups.get(presence);
    if (group === undefined) groups.set(presence, (group = IDENTIFYING_LABELS.map(() => new Set<string>())));
    for (const [index, value] of values.entries()) group[index]!.add(value);
  }
  return [...groups.values()].map((group) => IDENTIFYING_LABELS.map((name, index) => matcherOf(name, group[index]!)));
}

function matcherOf(name: string, values: ReadonlySet<string>): LabelMatcher {
  if (values.has('')) return { name, operator: '=', value: '' };
  return { name, operator: '=~', value: [...values].sort().map(quoteMeta).join('|') };
}

function quoteMeta(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}
