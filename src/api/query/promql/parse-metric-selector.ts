import type { LabelMatcher } from './ast.ts';
import { isMetricName, parseMatchers, selectorOf } from './parse-selector.ts';
import { matcherTest } from './regular-expression.ts';
import { TokenStream } from './token-stream.ts';

/** The matchers of `name`, `name{...}` or `{...}`, as `match[]` parameters have them. Throws PromqlParseError. */
export function parseMetricSelector(text: string): readonly LabelMatcher[] {
  const tokens = new TokenStream(text);
  const name = isMetricName(tokens.peek().kind) ? tokens.take() : undefined;
  if (name === undefined && !tokens.at('{')) tokens.unexpected();
  const { matchers } = selectorOf(name, tokens.at('{') ? parseMatchers(tokens) : undefined);
  if (!tokens.at('eof')) tokens.unexpected();
  return matchers;
}

/** Whether a series without labels satisfies all of them: then they choose nothing. */
export function matchAnything(matchers: readonly LabelMatcher[]): boolean {
  return matchers.every((matcher) => matcherTest(matcher)(''));
}
