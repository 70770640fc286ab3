import type { AggregateExpression, CallExpression, Expression } from './ast.ts';
import { checkTypes } from './check-types.ts';
import { FUNCTIONS } from './functions.ts';
import { parseBinaryModifiers } from './parse-matching.ts';
import { parsePostfix } from './parse-modifiers.ts';
import { isNumberAhead, parseNumberLiteral } from './parse-number.ts';
import type { ParseOptions } from './parse-options.ts';
import { isExpressionAhead, isMetricName, parseGroupingLabels, parseMatchers, selectorOf } from './parse-selector.ts';
import { binaryPrecedence, POWER_PRECEDENCE } from './precedence.ts';
import { quoteText } from './quote.ts';
import { type ErrorContext, TokenStream } from './token-stream.ts';
import { isAggregator, isPreprocessor, type Token } from './tokens.ts';
import { checkDepth } from './tree.ts';
import { unquote } from './unquote.ts';

/**
 * The tree of a PromQL expression, its types checked. Throws `PromqlParseError` with the words, the position and the verdict of Prometheus
 * (promql/parser of 3.14); the first thing that is wrong is told.
 */
export function parseExpression(text: string, options: ParseOptions): Expression {
  const tokens = new TokenStream(text);
  if (tokens.at('eof')) tokens.fail({ start: 0, end: 0 }, 'no expression found in input');
  const expression = new ExpressionParser(tokens, options).parse();
  if (!tokens.at('eof')) tokens.unexpected();
  checkDepth(text, expression);
  return checkTypes(text, expression);
}

const AGGREGATION: ErrorContext = { name: 'aggregation' };

/** Aggregators that take a parameter in front of the vector. */
const WITH_PARAMETER: ReadonlySet<string> = new Set([
  'topk',
  'bottomk',
  'count_values',
  'quantile',
  'limitk',
  'limit_ratio',
]);

/** By precedence of operators (Pratt): each operator takes to its right what binds tighter than itself. */
class ExpressionParser {
  readonly #tokens: TokenStream;
  readonly #options: ParseOptions;

  constructor(tokens: TokenStream, options: ParseOptions) {
    this.#tokens = tokens;
    this.#options = options;
  }

  parse(precedenceMin = 1): Expression {
    return this.#tokens.nested(() => this.#binary(precedenceMin));
  }

  #binary(precedenceMin: number): Expression {
    let left = this.#operand();
    for (;;) {
      const operator = binaryPrecedence(this.#tokens.peek().kind);
      if (operator === undefined || operator.precedence < precedenceMin) return left;
      this.#tokens.take();
      const { returnBool, matching } = parseBinaryModifiers(this.#tokens);
      // Only powers group to the right.
      const right = this.parse(operator.precedence === POWER_PRECEDENCE ? POWER_PRECEDENCE : operator.precedence + 1);
      const range = { start: left.range.start, end: right.range.end };
      const hasFill = matching.fillLeft !== undefined || matching.fillRight !== undefined;
      if (hasFill && !this.#options.binopFillModifiers) {
        this.#tokens.fail(range, 'binop fill modifiers are experimental and not enabled');
      }
      left = { kind: 'binary', range, operator: operator.operator, left, right, matching, returnBool };
    }
  }

  /** What stands between binary operators: `-x` binds like `*`, so `-x^2` is `-(x^2)` and `-x*y` is `(-x)*y`. */
  #operand(): Expression {
    const sign = this.#tokens.takeIf('-') ?? this.#tokens.takeIf('+');
    if (sign === undefined) return parsePostfix(this.#tokens, this.#options, this.#primary());
    const expression = this.parse(POWER_PRECEDENCE);
    const range = { start: sign.start, end: expression.range.end };
    if (expression.kind === 'number') {
      return { ...expression, range, value: sign.kind === '-' ? -expression.value : expression.value };
    }
    return { kind: 'unary', range, operator: sign.kind === '-' ? '-' : '+', expression };
  }

  #primary(): Expression {
    const tokens = this.#tokens;
    if (isNumberAhead(tokens)) return parseNumberLiteral(tokens);
    const token = tokens.peek();
    if (token.kind === '{') return selectorOf(undefined, parseMatchers(tokens));
    if (token.kind === 'string') {
      tokens.take();
      return { kind: 'string', range: { start: token.start, end: token.end }, value: unquote(token.text) };
    }
    if (token.kind === '(') return this.#parenthesized();
    if (!isMetricName(token.kind)) tokens.unexpected();
    tokens.take();
    const ahead = tokens.peek().kind;
    if (isAggregator(token.kind) && (ahead === '(' || ahead === 'by' || ahead === 'without')) {
      return this.#aggregate(token, token.kind);
    }
    if (ahead === '(' && (token.kind === 'identifier' || isPreprocessor(token.kind))) return this.#call(token);
    return selectorOf(token, ahead === '{' ? parseMatchers(tokens) : undefined);
  }

  #parenthesized(): Expression {
    const open = this.#tokens.take();
    const expression = this.parse();
    const close = this.#tokens.expect(')');
    return { kind: 'paren', range: { start: open.start, end: close.end }, expression };
  }

  #aggregate(name: Token, operator: AggregateExpression['operator']): Expression {
    const tokens = this.#tokens;
    let modifier: GroupingModifier | undefined;
    const args = tokens.within(AGGREGATION, () => {
      modifier = this.#groupingModifier();
      return this.#arguments();
    });
    let { end } = args;
    if (modifier === undefined) {
      modifier = this.#groupingModifier();
      if (modifier !== undefined) end = tokens.lastEnd;
    }
    const range = { start: name.start, end };
    const [expression, parameter] = this.#aggregateArguments(operator, args.expressions, range);
    const { grouping = [], without = false } = modifier ?? {};
    return { kind: 'aggregate', range, operator, expression, parameter, grouping, without };
  }

  /** The vector and the parameter, if the operator takes one. */
  #aggregateArguments(
    operator: AggregateExpression['operator'],
    args: readonly Expression[],
    range: Expression['range'],
  ): [expression: Expression, parameter: Expression | undefined] {
    const tokens = this.#tokens;
    if (args.length === 0) tokens.fail(range, 'no arguments for aggregate expression provided');
    const isExperimental = operator === 'limitk' || operator === 'limit_ratio';
    if (isExperimental && !this.#options.experimentalFunctions) {
      tokens.fail(
        range,
        `${operator}() is experimental and must be enabled with --enable-feature=promql-experimental-functions`,
      );
    }
    const wanted = WITH_PARAMETER.has(operator) ? 2 : 1;
    if (args.length !== wanted) {
      tokens.fail(
        range,
        `wrong number of arguments for aggregate expression provided, expected ${wanted}, got ${args.length}`,
      );
    }
    return wanted === 1 ? [args[0]!, undefined] : [args[1]!, args[0]];
  }

  #groupingModifier(): GroupingModifier | undefined {
    const by = this.#tokens.takeIf('by') ?? this.#tokens.takeIf('without');
    if (by === undefined) return undefined;
    return { grouping: parseGroupingLabels(this.#tokens), without: by.kind === 'without' };
  }

  #call(name: Token): CallExpression {
    const { expressions, end } = this.#arguments();
    const func = FUNCTIONS.get(name.text);
    if (func === undefined) this.#tokens.fail(name, `unknown function with name ${quoteText(name.text)}`);
    if (func.isExperimental && !this.#options.experimentalFunctions) {
      this.#tokens.fail(name, `function ${quoteText(name.text)} is not enabled`);
    }
    return { kind: 'call', range: { start: name.start, end }, func, arguments: expressions };
  }

  /** `( ... )` behind the name of a function or an aggregator; `end` is that of the parenthesis. */
  #arguments(): { expressions: Expression[]; end: number } {
    const tokens = this.#tokens;
    const expressions: Expression[] = [];
    tokens.expect('(');
    let comma: Token | undefined;
    while (!tokens.at(')') || comma !== undefined) {
      if (comma !== undefined && !isExpressionAhead(tokens)) {
        tokens.fail(comma, 'trailing commas not allowed in function call args');
      }
      expressions.push(this.parse());
      comma = tokens.takeIf(',');
      if (comma === undefined && !tokens.at(')')) tokens.unexpected();
    }
    return { expressions, end: tokens.take().end };
  }
}

interface GroupingModifier {
  readonly grouping: readonly string[];
  readonly without: boolean;
}
