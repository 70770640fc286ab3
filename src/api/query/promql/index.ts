export { expressionJson, type JsonValue } from './ast-json.ts';
export type * from './ast.ts';
export { FUNCTIONS } from './functions.ts';
export { formatPosition, PromqlParseError } from './parse-error.ts';
export { FULL_SYNTAX, type ParseOptions, STABLE_SYNTAX } from './parse-options.ts';
export { parseExpression } from './parser.ts';
export { prettify } from './prettify.ts';
export { printExpression } from './printer.ts';
