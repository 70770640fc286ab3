import type {
  AggregateExpression,
  BinaryExpression,
  DurationExpression,
  DurationOperand,
  Expression,
  LabelMatcher,
  MatrixSelector,
  NumberLiteral,
  SubqueryExpression,
  TimeModifiers,
  VectorSelector,
} from './ast.ts';
import { isPlainName } from './characters.ts';
import { formatFloat, formatShort } from './format-float.ts';
import { compareStrings } from './labels.ts';
import { formatDurationMs } from './numbers.ts';
import { quoteText } from './quote.ts';

/** An expression on one line, letter for letter as Prometheus prints it; parsing it again gives an equal tree, positions aside. */
export function printExpression(expression: Expression): string {
  switch (expression.kind) {
    case 'number':
      return printNumber(expression);
    case 'string':
      return quoteText(expression.value);
    case 'vector-selector':
      return printSelector(expression);
    case 'matrix-selector':
      return printMatrix(expression);
    case 'subquery':
      return printExpression(expression.expression) + printSubqueryTimes(expression);
    case 'unary':
      return expression.operator + printExpression(expression.expression);
    case 'binary': {
      const operator = expression.operator + printBinaryModifiers(expression);
      return `${printExpression(expression.left)} ${operator} ${printExpression(expression.right)}`;
    }
    case 'aggregate':
      return `${printAggregateHead(expression)}(${argumentsOf(expression).map(printExpression).join(', ')})`;
    case 'call':
      return `${expression.func.name}(${expression.arguments.map(printExpression).join(', ')})`;
    case 'paren':
      return `(${printExpression(expression.expression)})`;
  }
}

/** The arguments of an aggregation as written: the parameter first. */
export function argumentsOf({ parameter, expression }: AggregateExpression): Expression[] {
  return parameter === undefined ? [expression] : [parameter, expression];
}

/** What stands in front of the arguments: `sum by (job) `. */
export function printAggregateHead({ operator, grouping, without }: AggregateExpression): string {
  if (without) return `${operator} without (${printLabels(grouping)}) `;
  return grouping.length === 0 ? operator : `${operator} by (${printLabels(grouping)}) `;
}

/** What stands behind a binary operator: ` bool on (job) group_left (pod) fill (0)`. */
export function printBinaryModifiers({ returnBool, matching }: BinaryExpression): string {
  let text = returnBool ? ' bool' : '';
  if (matching === undefined) return text;
  const { cardinality, labels, on, include, fillLeft, fillRight } = matching;
  const isGrouped = cardinality === 'many-to-one' || cardinality === 'one-to-many';
  if (labels.length > 0 || on || isGrouped) text += ` ${on ? 'on' : 'ignoring'} (${printLabels(labels)})`;
  if (isGrouped) text += ` group_${cardinality === 'many-to-one' ? 'left' : 'right'} (${printLabels(include)})`;
  if (fillLeft !== undefined && fillLeft === fillRight) return `${text} fill (${formatShort(fillLeft)})`;
  if (fillLeft !== undefined) text += ` fill_left (${formatShort(fillLeft)})`;
  return fillRight === undefined ? text : `${text} fill_right (${formatShort(fillRight)})`;
}

/** What stands behind the expression of a subquery: `[5m:1m] @ start() offset 1h`. */
export function printSubqueryTimes(subquery: SubqueryExpression): string {
  const range = printDuration(subquery.rangeMs, subquery.rangeExpression);
  const hasStep = subquery.stepMs !== 0 || subquery.stepExpression !== undefined;
  const step = hasStep ? printDuration(subquery.stepMs, subquery.stepExpression) : '';
  return `[${range}:${step}]${printAt(subquery)}${printOffset(subquery)}`;
}

function printNumber({ value, isDuration }: NumberLiteral): string {
  // By way of whole nanoseconds, as upstream, which loses a millisecond of some.
  return isDuration ? formatDurationMs(Math.trunc(value * 1e9) / 1e6) : formatFloat(value);
}

function printSelector(selector: VectorSelector): string {
  return `${printMatchers(selector)}${printAt(selector)}${printExtension(selector)}${printOffset(selector)}`;
}

function printMatrix({ selector, rangeMs, rangeExpression }: MatrixSelector): string {
  const range = printDuration(rangeMs, rangeExpression);
  return `${printMatchers(selector)}[${range}]${printExtension(selector)}${printAt(selector)}${printOffset(selector)}`;
}

function printMatchers({ name, matchers }: VectorSelector): string {
  const shown = matchers
    .filter((matcher) => !isName(matcher, name))
    .map(printMatcher)
    .toSorted(compareStrings);
  return shown.length === 0 ? name : `${name}{${shown.join(',')}}`;
}

/** Whether a condition says what the name in front of the braces says already. */
function isName(matcher: LabelMatcher, name: string): boolean {
  return matcher.name === '__name__' && matcher.operator === '=' && matcher.value === name && name !== '';
}

function printMatcher({ name, operator, value }: LabelMatcher): string {
  return `${isPlainName(name) ? name : quoteText(name)}${operator}${quoteText(value)}`;
}

function printLabels(labels: readonly string[]): string {
  return labels.map((label) => (isPlainName(label) ? label : quoteText(label))).join(', ');
}

function printExtension({ anchored, smoothed }: VectorSelector): string {
  if (anchored) return ' anchored';
  return smoothed ? ' smoothed' : '';
}

function printAt({ timestampMs, startOrEnd }: TimeModifiers): string {
  if (timestampMs !== undefined) return ` @ ${(timestampMs / 1000).toFixed(3)}`;
  return startOrEnd === undefined ? '' : ` @ ${startOrEnd}()`;
}

function printOffset({ offsetMs, offsetExpression }: TimeModifiers): string {
  if (offsetMs === 0 && offsetExpression === undefined) return '';
  return ` offset ${printDuration(offsetMs, offsetExpression)}`;
}

function printDuration(ms: number, expression: DurationExpression | undefined): string {
  return expression === undefined ? formatDurationMs(ms) : printDurationExpression(expression);
}

function printDurationOperand(operand: DurationOperand): string {
  return operand.kind === 'number' ? printNumber(operand) : printDurationExpression(operand);
}

function printDurationExpression(expression: DurationExpression): string {
  const text = printUnwrapped(expression);
  return expression.isWrapped ? `(${text})` : text;
}

function printUnwrapped(expression: DurationExpression): string {
  switch (expression.operation) {
    case 'step':
    case 'range':
      return `${expression.operation}()`;
    case 'min_of':
    case 'max_of': {
      const { operation, left, right } = expression;
      return `${operation}(${printDurationOperand(left)}, ${printDurationOperand(right)})`;
    }
    case 'unary':
      return (expression.operator === '-' ? '-' : '') + printDurationOperand(expression.operand);
    case 'binary': {
      const { left, operator, right } = expression;
      return `${printDurationOperand(left)} ${operator} ${printDurationOperand(right)}`;
    }
  }
}
