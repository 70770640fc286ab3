import { quoteText } from './quote.ts';

/** One piece of the text. `text` is the source as written, for `error` the complaint. */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** UTF-16 offsets into the source, `end` exclusive. */
  readonly start: number;
  readonly end: number;
}

/** Punctuation and operators go by their own text, keywords by their lower-case text. */
export type TokenKind =
  | 'eof'
  | 'error'
  | 'comment'
  | 'identifier'
  | 'metric-identifier'
  | 'number'
  | 'duration'
  | 'string'
  | Punctuation
  | OperatorKind
  | AggregatorKind
  | KeywordKind
  | PreprocessorKind;

type Punctuation = '(' | ')' | '{' | '}' | '[' | ']' | ',' | ':' | '=';
type OperatorKind = (typeof OPERATORS)[number];
type AggregatorKind = (typeof AGGREGATORS)[number];
type KeywordKind = (typeof KEYWORDS)[number];
type PreprocessorKind = (typeof PREPROCESSORS)[number];

const OPERATORS = [
  '+',
  '/',
  '==',
  '=~',
  '>=',
  '>',
  '</',
  '>/',
  'and',
  'or',
  '<',
  '<=',
  'unless',
  '%',
  '*',
  '!=',
  '!~',
  '^',
  '-',
  '@',
  'atan2',
] as const;
const AGGREGATORS = [
  'avg',
  'bottomk',
  'count',
  'count_values',
  'group',
  'max',
  'min',
  'quantile',
  'stddev',
  'stdvar',
  'sum',
  'topk',
  'limitk',
  'limit_ratio',
] as const;
const KEYWORDS = [
  'bool',
  'by',
  'group_left',
  'group_right',
  'fill',
  'fill_left',
  'fill_right',
  'ignoring',
  'offset',
  'smoothed',
  'anchored',
  'on',
  'without',
] as const;
const PREPROCESSORS = ['start', 'end', 'step', 'range', 'max_of', 'min_of'] as const;

const operators: ReadonlySet<string> = new Set(OPERATORS);
const aggregators: ReadonlySet<string> = new Set(AGGREGATORS);
const keywords: ReadonlySet<string> = new Set(KEYWORDS);
const preprocessors: ReadonlySet<string> = new Set(PREPROCESSORS);

/** `inf` and `nan` are numbers in any case of letters; every other keyword is one in any case too. */
const words: ReadonlyMap<string, TokenKind> = new Map<string, TokenKind>([
  ...(['and', 'or', 'unless', 'atan2'] as const).map((word) => [word, word] as const),
  ...AGGREGATORS.map((word) => [word, word] as const),
  ...KEYWORDS.map((word) => [word, word] as const),
  ...PREPROCESSORS.map((word) => [word, word] as const),
  ['inf', 'number'],
  ['nan', 'number'],
]);

/** The kind of a word that stands where keywords may, or `undefined` when it is none. */
export function keywordKind(word: string): TokenKind | undefined {
  return words.get(word.toLowerCase());
}

export function isAggregator(kind: TokenKind): kind is AggregatorKind {
  return aggregators.has(kind);
}

/** May be called like a function: `start()`, `max_of(...)`. */
export function isPreprocessor(kind: TokenKind): kind is PreprocessorKind {
  return preprocessors.has(kind);
}

/** How an error names a token: what it is and its text, cut after ten characters. Prometheus' words. */
export function describeToken(token: Token): string {
  const { kind, text } = token;
  if (kind === 'eof') return 'end of input';
  if (kind === 'identifier') return `identifier ${quoteText(text)}`;
  if (kind === 'metric-identifier') return `metric identifier ${quoteText(text)}`;
  if (keywords.has(kind)) return `<${text}>`;
  if (operators.has(kind)) return `<op:${text}>`;
  if (aggregators.has(kind)) return `<aggr:${text}>`;
  const shown = text.length > 10 ? `${quoteText(Array.from(text).slice(0, 10).join(''))}...` : quoteText(text);
  return kind === 'string' || kind === 'number' || kind === 'duration' ? `${kind} ${shown}` : shown;
}
