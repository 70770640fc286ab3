import type { BinaryExpression, CallExpression, Expression, PositionRange, ValueType, VectorSelector } from './ast.ts';
import { isSpace } from './characters.ts';
import { typeOf } from './expression-types.ts';
import { PromqlParseError } from './parse-error.ts';
import { quoteText } from './quote.ts';
import { matcherTest } from './regular-expression.ts';

/**
 * The tree with what follows from types settled (set operators match many to many, no matching where a side is no vector, the second argument of
 * `info` may match all). Throws `PromqlParseError` for the first node that does not fit, in upstream's order, words and positions.
 */
export function checkTypes(text: string, root: Expression): Expression {
  return new TypeChecker(text).check(root);
}

const COMPARISONS: ReadonlySet<string> = new Set(['==', '!=', '<=', '<', '>=', '>']);
const SET_OPERATORS: ReadonlySet<string> = new Set(['and', 'or', 'unless']);
const SCALAR_PARAMETER: ReadonlySet<string> = new Set(['topk', 'bottomk', 'quantile', 'limitk', 'limit_ratio']);

class TypeChecker {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  check(expression: Expression): Expression {
    switch (expression.kind) {
      case 'number':
      case 'string':
        return expression;
      case 'vector-selector':
        this.#checkMatchers(expression);
        return expression;
      case 'matrix-selector':
        this.#checkMatchers(expression.selector);
        return expression;
      case 'paren':
        return { ...expression, expression: this.check(expression.expression) };
      case 'unary':
        return this.#checkUnary(expression);
      case 'subquery':
        return this.#checkSubquery(expression);
      case 'aggregate':
        return this.#checkAggregate(expression);
      case 'binary':
        return this.#checkBinary(expression);
      case 'call':
        return this.#checkCall(expression);
    }
  }

  #checkMatchers({ name, matchers, mayMatchAll, range }: VectorSelector): void {
    if (name !== '') {
      const second = matchers.slice(0, -1).find((matcher) => matcher.name === '__name__');
      if (second === undefined) return;
      this.#fail(range, `metric name must not be set twice: ${quoteText(name)} or ${quoteText(second.value)}`);
    }
    if (mayMatchAll) return;
    const isSelective = matchers.some((matcher) => !matcherTest(matcher)(''));
    if (!isSelective) this.#fail(range, 'vector selector must contain at least one non-empty matcher');
  }

  #checkUnary(unary: Extract<Expression, { kind: 'unary' }>): Expression {
    const expression = this.check(unary.expression);
    if (!isScalarOrVector(typeOf(expression))) {
      const got = quoteText(documentedType(typeOf(expression)));
      this.#fail(
        unary.range,
        `unary expression only allowed on expressions of type scalar or instant vector, got ${got}`,
      );
    }
    return { ...unary, expression };
  }

  #checkSubquery(subquery: Extract<Expression, { kind: 'subquery' }>): Expression {
    const expression = this.check(subquery.expression);
    const type = typeOf(expression);
    if (type !== 'vector') {
      this.#fail(subquery.range, `subquery is only allowed on instant vector, got ${type} instead`);
    }
    return { ...subquery, expression };
  }

  #checkAggregate(aggregate: Extract<Expression, { kind: 'aggregate' }>): Expression {
    const expression = this.#checkAs(aggregate.expression, 'vector', 'in aggregation expression');
    let { parameter } = aggregate;
    if (parameter !== undefined) {
      const wanted = SCALAR_PARAMETER.has(aggregate.operator) ? 'scalar' : 'string';
      parameter = this.#checkAs(parameter, wanted, 'in aggregation parameter');
    }
    return { ...aggregate, expression, parameter };
  }

  #checkBinary(binary: BinaryExpression): BinaryExpression {
    const left = this.check(binary.left);
    const right = this.check(binary.right);
    const types = [typeOf(left), typeOf(right)];
    const isComparison = COMPARISONS.has(binary.operator);
    if (binary.returnBool && !isComparison) {
      this.#fail(this.#operatorRange(binary), 'bool modifier can only be used on comparison operators');
    }
    if (isComparison && !binary.returnBool && types.every((type) => type === 'scalar')) {
      this.#fail(this.#operatorRange(binary), 'comparisons between scalars must use BOOL modifier');
    }
    this.#checkLabels(binary);
    for (const side of [left, right]) {
      if (!isScalarOrVector(typeOf(side))) {
        this.#fail(side.range, 'binary expression must contain only scalar and instant vector types');
      }
    }
    const checked = { ...binary, left, right };
    if (types.every((type) => type === 'vector')) return this.#checkBetweenVectors(checked);
    return this.#checkBesideScalar(checked);
  }

  #checkLabels(binary: BinaryExpression): void {
    const { matching } = binary;
    if (matching === undefined || !matching.on) return;
    const twice = matching.labels.find((label) => matching.include.includes(label));
    if (twice === undefined) return;
    this.#fail(this.#operatorRange(binary), `label ${quoteText(twice)} must not occur in ON and GROUP clause at once`);
  }

  #checkBetweenVectors(binary: BinaryExpression): BinaryExpression {
    const { matching, operator, range } = binary;
    if (matching === undefined || !SET_OPERATORS.has(operator)) return binary;
    if (matching.cardinality === 'one-to-many' || matching.cardinality === 'many-to-one') {
      this.#fail(range, `no grouping allowed for ${quoteText(operator)} operation`);
    }
    if (hasFill(binary)) this.#fail(range, 'filling in missing series not allowed for set operators');
    return { ...binary, matching: { ...matching, cardinality: 'many-to-many' } };
  }

  #checkBesideScalar(binary: BinaryExpression): BinaryExpression {
    const { matching, operator, range } = binary;
    if (matching !== undefined && matching.labels.length > 0) {
      this.#fail(range, 'vector matching only allowed between instant vectors');
    }
    if (hasFill(binary)) this.#fail(range, 'filling in missing series only allowed between instant vectors');
    if (SET_OPERATORS.has(operator)) {
      this.#fail(range, `set operator ${quoteText(operator)} not allowed in binary scalar expression`);
    }
    return { ...binary, matching: undefined };
  }

  #checkCall(call: CallExpression): CallExpression {
    const { func, range } = call;
    this.#checkCount(call);
    const args = [...call.arguments];
    const second = args[1];
    if (func.name === 'info' && second !== undefined) args[1] = this.#checkInfoLabels(call, second);
    const checked = args.map((argument, index) => {
      const wanted = func.argumentTypes[Math.min(index, func.argumentTypes.length - 1)]!;
      return this.#checkAs(argument, wanted, `in call to function ${quoteText(func.name)}`);
    });
    return { ...call, range, arguments: checked };
  }

  #checkCount({ func, range, arguments: args }: CallExpression): void {
    const { name, argumentTypes, variadic } = func;
    const to = `in call to ${quoteText(name)}, got ${args.length}`;
    if (variadic === 0) {
      if (args.length === argumentTypes.length) return;
      this.#fail(range, `expected ${argumentTypes.length} argument(s) ${to}`);
    }
    const least = argumentTypes.length - 1;
    if (args.length < least) this.#fail(range, `expected at least ${least} argument(s) ${to}`);
    if (variadic > 0 && args.length > least + variadic) {
      this.#fail(range, `expected at most ${least + variadic} argument(s) ${to}`);
    }
  }

  /** The second argument of `info` is a list of conditions, dressed as a selector without a name. */
  #checkInfoLabels(call: CallExpression, argument: Expression): Expression {
    const type = typeOf(argument);
    if (type !== 'vector') {
      this.#fail(
        call.range,
        `expected type ${documentedType('vector')} in call to function "info", got ${documentedType(type)}`,
      );
    }
    if (argument.kind !== 'vector-selector') this.#fail(argument.range, 'expected label selectors only');
    if (argument.name !== '') {
      this.#fail(argument.range, 'expected label selectors only, got vector selector instead');
    }
    return { ...argument, mayMatchAll: true };
  }

  #checkAs(expression: Expression, wanted: ValueType, where: string): Expression {
    const checked = this.check(expression);
    const type = typeOf(checked);
    if (type === wanted) return checked;
    this.#fail(expression.range, `expected type ${documentedType(wanted)} ${where}, got ${documentedType(type)}`);
  }

  /** From the operator to the last thing before the right side. */
  #operatorRange({ left, right }: BinaryExpression): PositionRange {
    let start = left.range.end;
    while (isSpace(this.#text[start])) start += 1;
    let end = right.range.start - 1;
    while (isSpace(this.#text[end])) end -= 1;
    return { start, end };
  }

  #fail(range: PositionRange, reason: string): never {
    throw new PromqlParseError(this.#text, range, reason);
  }
}

function hasFill({ matching }: BinaryExpression): boolean {
  return matching?.fillLeft !== undefined || matching?.fillRight !== undefined;
}

function isScalarOrVector(type: ValueType): boolean {
  return type === 'scalar' || type === 'vector';
}

/** The name of a type in Prometheus' documentation. */
export function documentedType(type: ValueType): string {
  if (type === 'vector') return 'instant vector';
  return type === 'matrix' ? 'range vector' : type;
}
