/**
 * The tree of a PromQL expression: what the parser gives, and what evaluator, printer and `parse_query` read. It can say everything that
 * the tree of Prometheus 3.14 can. A tree is plain frozen-by-type data without behaviour, so it may cross threads.
 *
 * Durations are whole milliseconds, timestamps milliseconds since 1970, ranges offsets into the text (UTF-16, end exclusive).
 */
export type Expression =
  | NumberLiteral
  | StringLiteral
  | VectorSelector
  | MatrixSelector
  | SubqueryExpression
  | UnaryExpression
  | BinaryExpression
  | AggregateExpression
  | CallExpression
  | ParenExpression;

/** What an expression evaluates to. `none` is no type of a value: it is where a signature takes nothing. */
export type ValueType = 'none' | 'scalar' | 'vector' | 'matrix' | 'string';

/** Where a node stands in the text: UTF-16 offsets, `end` exclusive. `formatPosition` of parse-error.ts turns one into `line:column`. */
export interface PositionRange {
  readonly start: number;
  readonly end: number;
}

/** What every node has. */
interface Node {
  readonly range: PositionRange;
}

/** A number, or a duration standing for its seconds (`5m` is 300). */
export interface NumberLiteral extends Node {
  readonly kind: 'number';
  readonly value: number;
  /** Written as a duration, so printed as one. */
  readonly isDuration: boolean;
}

/** A string, unquoted. */
export interface StringLiteral extends Node {
  readonly kind: 'string';
  readonly value: string;
}

/** How a matcher compares; both regular expressions are RE2, anchored at both ends, `.` matching line ends too. */
export type MatchOperator = '=' | '!=' | '=~' | '!~';

/** One condition on a label. A series without the label has the value `''`. */
export interface LabelMatcher {
  readonly name: string;
  readonly operator: MatchOperator;
  readonly value: string;
}

/** `start()` or `end()` behind `@`. */
export type Preprocessor = 'start' | 'end';

/** What `offset` and `@` say, on selectors and subqueries. The evaluator works out the effective offset, not the tree. */
export interface TimeModifiers {
  /** `offset` as written, in ms, negative for a negative one; 0 without one or while `offsetExpression` holds it. */
  readonly offsetMs: number;
  /** `offset` when it is more than a literal. */
  readonly offsetExpression: DurationExpression | undefined;
  /** `@ <number>`, in ms since 1970. */
  readonly timestampMs: number | undefined;
  /** `@ start()` and `@ end()`. */
  readonly startOrEnd: Preprocessor | undefined;
}

/** Instant selector. */
export interface VectorSelector extends Node, TimeModifiers {
  readonly kind: 'vector-selector';
  /** The metric name in front of the braces; `''` without one, also when it stands quoted inside them. */
  readonly name: string;
  /** Every condition in the order written, the one on `__name__` that stands for `name` behind them. */
  readonly matchers: readonly LabelMatcher[];
  /** Value at the edges of a range is carried from the sample before it. */
  readonly anchored: boolean;
  /** Values at the edges of a range are interpolated. */
  readonly smoothed: boolean;
  /** May match the empty string alone: the second argument of `info`. */
  readonly mayMatchAll: boolean;
}

/** Range selector: `selector[range]`. Offset and `@` are the inner selector's. */
export interface MatrixSelector extends Node {
  readonly kind: 'matrix-selector';
  readonly selector: VectorSelector;
  /** 0 while `rangeExpression` holds it. */
  readonly rangeMs: number;
  readonly rangeExpression: DurationExpression | undefined;
}

/** `expression[range:step]`. */
export interface SubqueryExpression extends Node, TimeModifiers {
  readonly kind: 'subquery';
  readonly expression: Expression;
  readonly rangeMs: number;
  readonly rangeExpression: DurationExpression | undefined;
  /** 0 without a step (the default interval is the evaluator's) or while `stepExpression` holds it. */
  readonly stepMs: number;
  readonly stepExpression: DurationExpression | undefined;
}

/** Operators between two durations. */
export type DurationOperator = '+' | '-' | '*' | '/' | '%' | '^';

/** Arithmetic where a duration is due (range, step, offset). Numbers in it are seconds. Worked out once a query, from its start, end, step. */
export type DurationExpression = DurationUnary | DurationBinary | DurationMinMax | DurationContext;

/** An operand of a duration expression. */
export type DurationOperand = NumberLiteral | DurationExpression;

interface DurationNode extends Node {
  readonly kind: 'duration';
  /** Stands in parentheses of its own. */
  readonly isWrapped: boolean;
}

export interface DurationUnary extends DurationNode {
  readonly operation: 'unary';
  readonly operator: '+' | '-';
  readonly operand: DurationOperand;
}

export interface DurationBinary extends DurationNode {
  readonly operation: 'binary';
  readonly operator: DurationOperator;
  readonly left: DurationOperand;
  readonly right: DurationOperand;
}

export interface DurationMinMax extends DurationNode {
  readonly operation: 'min_of' | 'max_of';
  readonly left: DurationOperand;
  readonly right: DurationOperand;
}

/** `step()`: the step of the query (0 when instant). `range()`: its end minus its start. */
export interface DurationContext extends DurationNode {
  readonly operation: 'step' | 'range';
}

/** `+x` or `-x`. */
export interface UnaryExpression extends Node {
  readonly kind: 'unary';
  readonly operator: '+' | '-';
  readonly expression: Expression;
}

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%' | '^' | 'atan2';
export type ComparisonOperator = '==' | '!=' | '>' | '<' | '>=' | '<=';
export type SetOperator = 'and' | 'or' | 'unless';
/** `</` trims what lies above a value off histograms, `>/` what lies below. */
export type TrimOperator = '</' | '>/';
export type BinaryOperator = ArithmeticOperator | ComparisonOperator | SetOperator | TrimOperator;

export interface BinaryExpression extends Node {
  readonly kind: 'binary';
  readonly operator: BinaryOperator;
  readonly left: Expression;
  readonly right: Expression;
  /** Only between two vectors. */
  readonly matching: VectorMatching | undefined;
  /** `bool`: a comparison gives 0 and 1 instead of filtering. */
  readonly returnBool: boolean;
}

/** `many-to-one` is `group_left`, `one-to-many` is `group_right`, `many-to-many` every set operator. */
export type MatchCardinality = 'one-to-one' | 'many-to-one' | 'one-to-many' | 'many-to-many';

/** How the elements of two vectors find each other. */
export interface VectorMatching {
  readonly cardinality: MatchCardinality;
  readonly labels: readonly string[];
  /** `on(labels)`; else `ignoring(labels)`, which is also what nothing written means (with no labels). */
  readonly on: boolean;
  /** Labels of the `one` side that the result takes: those in `group_left(...)`. */
  readonly include: readonly string[];
  /** Stands in for a missing element of the left side; `undefined`: elements without a match are left out. */
  readonly fillLeft: number | undefined;
  readonly fillRight: number | undefined;
}

export type AggregateOperator =
  | 'avg'
  | 'bottomk'
  | 'count'
  | 'count_values'
  | 'group'
  | 'limit_ratio'
  | 'limitk'
  | 'max'
  | 'min'
  | 'quantile'
  | 'stddev'
  | 'stdvar'
  | 'sum'
  | 'topk';

export interface AggregateExpression extends Node {
  readonly kind: 'aggregate';
  readonly operator: AggregateOperator;
  readonly expression: Expression;
  /** What `topk`, `quantile`, `count_values`... take before the vector. */
  readonly parameter: Expression | undefined;
  readonly grouping: readonly string[];
  /** `without (grouping)`; else `by`, which is also what nothing written means (with no labels). */
  readonly without: boolean;
}

export interface CallExpression extends Node {
  readonly kind: 'call';
  readonly func: FunctionSignature;
  readonly arguments: readonly Expression[];
}

/** Takes and gives of a function; the table of all is functions.ts. */
export interface FunctionSignature {
  readonly name: string;
  readonly argumentTypes: readonly ValueType[];
  /** 0: exactly as many. n > 0: the last listed may be missing, and n - 1 more of it may follow. -1: any number of it. */
  readonly variadic: number;
  readonly returnType: ValueType;
  readonly isExperimental: boolean;
}

/** An expression in parentheses. */
export interface ParenExpression extends Node {
  readonly kind: 'paren';
  readonly expression: Expression;
}
