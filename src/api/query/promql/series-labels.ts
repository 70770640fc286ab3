import { Labels } from './labels.ts';
import { isMetricName } from './parse-selector.ts';
import { type ErrorContext, TokenStream } from './token-stream.ts';
import { unquote } from './unquote.ts';

const ITEM: ErrorContext = { name: 'label set', expected: 'identifier or "}"' };
const ITEM_SIGN: ErrorContext = { name: 'label set', expected: '"="' };
const ITEM_VALUE: ErrorContext = { name: 'label set', expected: 'string' };
const ITEM_END: ErrorContext = { name: 'label set', expected: '"," or "}"' };

/**
 * The labels at the begin of a series description, `name{label="value"}` with either part left out, and where they end (UTF-16). No space may
 * stand between name and brace: there the values begin.
 */
export function readSeriesLabels(text: string): { labels: Labels; end: number } {
  const tokens = new TokenStream(text);
  const pairs: [string, string][] = [];
  const name = tokens.peek();
  if (name.kind === 'eof') return { labels: Labels.empty, end: text.length };
  if (name.kind !== '{') {
    if (!isMetricName(name.kind)) tokens.unexpected();
    tokens.take();
    if (text[tokens.lastEnd] === '{') readPairs(tokens, pairs);
    pairs.push(['__name__', name.text]);
  } else {
    readPairs(tokens, pairs);
  }
  return { labels: Labels.of(pairs), end: tokens.lastEnd };
}

function readPairs(tokens: TokenStream, pairs: [string, string][]): void {
  tokens.expect('{');
  while (!tokens.at('}')) {
    const label = tokens.takeIf('identifier') ?? tokens.takeIf('string') ?? tokens.unexpected(ITEM);
    const text = label.kind === 'string' ? unquote(label.text) : label.text;
    if (tokens.takeIf('=') !== undefined) {
      const value = tokens.takeIf('string') ?? tokens.unexpected(ITEM_VALUE);
      pairs.push([text, unquote(value.text)]);
    } else {
      // A string alone is the name of the metric.
      if (label.kind === 'identifier') tokens.unexpected(ITEM_SIGN);
      pairs.push(['__name__', text]);
    }
    if (tokens.takeIf(',') === undefined && !tokens.at('}')) tokens.unexpected(ITEM_END);
  }
  tokens.take();
}
