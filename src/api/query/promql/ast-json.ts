import type {
  BinaryExpression,
  DurationExpression,
  DurationOperand,
  Expression,
  LabelMatcher,
  TimeModifiers,
  VectorSelector,
} from './ast.ts';
import { formatFloat } from './format-float.ts';
import { withoutStrayBytes } from './stray-bytes.ts';

/** A value that `JSON.stringify` takes as it is. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/**
 * A tree in the JSON form of Prometheus' `parse_query` (web/api/v1/translate_ast.go), which Grafana and Prometheus' own pages read. Times are
 * milliseconds, numbers text.
 */
export function expressionJson(expression: Expression): JsonValue {
  switch (expression.kind) {
    case 'number':
      return { type: 'numberLiteral', val: formatFloat(expression.value) };
    case 'string':
      return { type: 'stringLiteral', val: withoutStrayBytes(expression.value) };
    case 'vector-selector':
      return { type: 'vectorSelector', ...selectorJson(expression) };
    case 'matrix-selector': {
      const { selector, rangeMs, rangeExpression } = expression;
      return {
        type: 'matrixSelector',
        ...selectorJson(selector),
        range: rangeMs,
        rangeExpr: durationJson(rangeExpression),
      };
    }
    case 'subquery':
      return {
        type: 'subquery',
        expr: expressionJson(expression.expression),
        range: expression.rangeMs,
        rangeExpr: durationJson(expression.rangeExpression),
        step: expression.stepMs,
        stepExpr: durationJson(expression.stepExpression),
        ...timesJson(expression),
      };
    case 'unary':
      return { type: 'unaryExpr', op: expression.operator, expr: expressionJson(expression.expression) };
    case 'binary':
      return binaryJson(expression);
    case 'aggregate':
      return {
        type: 'aggregation',
        op: expression.operator,
        expr: expressionJson(expression.expression),
        param: expression.parameter === undefined ? null : expressionJson(expression.parameter),
        grouping: expression.grouping,
        without: expression.without,
      };
    case 'call': {
      const { name, argumentTypes, variadic, returnType } = expression.func;
      return {
        type: 'call',
        func: { name, argTypes: argumentTypes, variadic, returnType },
        args: expression.arguments.map(expressionJson),
      };
    }
    case 'paren':
      return { type: 'parenExpr', expr: expressionJson(expression.expression) };
  }
}

function binaryJson(binary: BinaryExpression): JsonValue {
  const { operator, left, right, matching, returnBool } = binary;
  return {
    type: 'binaryExpr',
    op: operator,
    lhs: expressionJson(left),
    rhs: expressionJson(right),
    matching:
      matching === undefined
        ? null
        : {
            card: matching.cardinality,
            labels: matching.labels,
            on: matching.on,
            include: matching.include,
            fillValues: { lhs: matching.fillLeft ?? null, rhs: matching.fillRight ?? null },
          },
    bool: returnBool,
  };
}

function selectorJson(selector: VectorSelector): { readonly [key: string]: JsonValue } {
  const { name, matchers, anchored, smoothed } = selector;
  return { name, matchers: matchers.map(matcherJson), ...timesJson(selector), anchored, smoothed };
}

function matcherJson({ name, operator, value }: LabelMatcher): JsonValue {
  return { name: withoutStrayBytes(name), value: withoutStrayBytes(value), type: operator };
}

function timesJson(modifiers: TimeModifiers): { readonly [key: string]: JsonValue } {
  return {
    offset: modifiers.offsetMs,
    offsetExpr: durationJson(modifiers.offsetExpression),
    timestamp: modifiers.timestampMs ?? null,
    startOrEnd: modifiers.startOrEnd ?? null,
  };
}

function durationJson(operand: DurationOperand | undefined): JsonValue {
  if (operand === undefined) return null;
  if (operand.kind === 'number') {
    return { type: 'numberLiteral', val: formatFloat(operand.value), duration: operand.isDuration };
  }
  const { operator, left, right } = durationParts(operand);
  return {
    type: 'durationExpr',
    op: operator,
    lhs: durationJson(left),
    rhs: durationJson(right),
    wrapped: operand.isWrapped,
  };
}

/** Upstream has one form for all: a sign has no left side, `step()` and `range()` have none. */
function durationParts(expression: DurationExpression): {
  operator: string;
  left?: DurationOperand;
  right?: DurationOperand;
} {
  switch (expression.operation) {
    case 'unary':
      return { operator: expression.operator, right: expression.operand };
    case 'binary':
      return { operator: expression.operator, left: expression.left, right: expression.right };
    case 'min_of':
    case 'max_of':
      return { operator: expression.operation, left: expression.left, right: expression.right };
    default:
      return { operator: expression.operation };
  }
}
