import type { Expression } from './ast.ts';
import { Labels } from './labels.ts';

/** The labels that `absent` gives: those that the selector asks for by `=`, once each, without the name. */
export function absentLabels(expression: Expression): Labels {
  const selector = expression.kind === 'matrix-selector' ? expression.selector : expression;
  if (selector.kind !== 'vector-selector') return Labels.empty;
  const values = new Map<string, string>();
  for (const { name, operator, value } of selector.matchers) {
    if (name === '__name__') continue;
    const isFirst = operator === '=' && !values.has(name);
    values.set(name, isFirst ? value : '');
  }
  return Labels.of(values);
}
