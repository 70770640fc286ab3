import { RE2JS } from 're2js';
import { TreasuryError } from '../../../base/index.ts';
import type { LabelMatcher } from './ast.ts';
import { simplePatternTest } from './simple-pattern.ts';

/** Expressions kept compiled; a dashboard asks the same few again and again. Compiled ones take some kilobytes each. */
const CACHED_MAX = 256;

const cache = new Map<string, RE2JS>();

/**
 * RE2 as Prometheus uses it: the whole value must match, `.` matches line ends too. Never the regular expressions of JavaScript, whose syntax differs and
 * which may take for ever. Throws TREASURY_QUERY_INVALID for text that is no expression.
 */
export function regularExpression(pattern: string): RE2JS {
  const cached = cache.get(pattern);
  if (cached !== undefined) {
    cache.delete(pattern);
    cache.set(pattern, cached);
    return cached;
  }
  const compiled = compile(pattern);
  cache.set(pattern, compiled);
  if (cache.size > CACHED_MAX) cache.delete(cache.keys().next().value!);
  return compiled;
}

/** Whether a value satisfies a matcher; an absent label has the value ''. */
export function matcherTest({ operator, value }: LabelMatcher): (candidate: string) => boolean {
  if (operator === '=') return (candidate) => candidate === value;
  if (operator === '!=') return (candidate) => candidate !== value;
  const test = simplePatternTest(value) ?? exactTest(value);
  return operator === '=~' ? test : (candidate) => !test(candidate);
}

function exactTest(pattern: string): (candidate: string) => boolean {
  const expression = regularExpression(pattern);
  return (candidate) => expression.testExact(candidate);
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern, RE2JS.DOTALL);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TreasuryError('TREASURY_QUERY_INVALID', reason, { cause: error });
  }
}
