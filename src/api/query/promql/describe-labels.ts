import { quoted } from './messages.ts';
import type { Labels } from './labels.ts';

/** Labels as messages write them: `{__name__="up", job="a"}`; names that are no plain identifiers in quotes. */
export function describeLabels(labels: Labels): string {
  const pairs = [...labels.pairs()].map(
    ([name, value]) => `${IDENTIFIER.test(name) ? name : quoted(name)}=${quoted(value)}`,
  );
  return `{${pairs.join(', ')}}`;
}

const IDENTIFIER = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
