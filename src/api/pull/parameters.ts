/** The query parameters of a request, each checked: what is unknown, repeated or malformed is a 400 that names it. */
import { nearest } from '../../base/index.ts';
import { HttpError } from '../http/http-error.ts';

export interface Parameters<Name extends string> {
  text(name: Name): string | null;
  flag(name: Name): boolean;
  /** A decimal number from `min` to 2^64 - 1. */
  number(name: Name, min?: bigint): bigint | null;
  /** Throws the 400 for a parameter. */
  refuse(name: Name, expected: string): never;
}

/** Reads parameters; throws HttpError 400 for one that is not among `names`, or comes twice. */
export function readParameters<Name extends string>(query: URLSearchParams, names: readonly Name[]): Parameters<Name> {
  const seen = new Set<string>();
  for (const name of query.keys()) {
    if (!(names as readonly string[]).includes(name)) {
      const message = `Cannot read parameter ${shown(name)}: it is not known, did you mean ${nearest(shown(name), names)}?`;
      throw invalid(message, name);
    }
    if (seen.has(name)) throw invalid(`Cannot read parameter ${name}: it is given twice`, name);
    seen.add(name);
  }
  const parameters: Parameters<Name> = {
    text: (name) => query.get(name),
    flag(name) {
      const value = query.get(name) ?? 'false';
      if (value !== 'true' && value !== 'false') parameters.refuse(name, 'true or false');
      return value === 'true';
    },
    number(name, min = 0n) {
      const value = query.get(name);
      if (value === null) return null;
      const number = DECIMAL.test(value) ? BigInt(value) : -1n;
      if (number < min || number > U64_MAX)
        parameters.refuse(name, min === 0n ? 'a number' : `a number from ${min} on`);
      return number;
    },
    refuse(name, expected) {
      throw invalid(
        `Cannot read parameter ${name}: it must be ${expected}, value is ${shown(query.get(name) ?? '')}`,
        name,
      );
    },
  };
  return parameters;
}

const DECIMAL = /^\d{1,20}$/;
const U64_MAX = 2n ** 64n - 1n;
/** Of what a request holds, as an answer shows it. */
const SHOWN_CHARS_MAX = 100;

function shown(text: string): string {
  return text.length <= SHOWN_CHARS_MAX ? text : `${text.slice(0, SHOWN_CHARS_MAX)}…`;
}

function invalid(message: string, parameter: string): HttpError {
  return new HttpError(400, 'TREASURY_PARAMETER_INVALID', message, { parameter: shown(parameter) });
}
