/** Names of labels in the path of a request. */
import { isUtf8 } from '../query/promql/stray-bytes.ts';
import { quoteText } from '../query/promql/quote.ts';
import { RequestFailure } from './failure.ts';

/** The label that a part of a path names: `U__service_2e_name` stands for `service.name`. Throws RequestFailure. */
export function labelOfPath(text: string): string {
  const name = text.startsWith(ESCAPED) ? unescapedName(text) : text;
  if (name === '' || !isUtf8(name)) throw new RequestFailure('bad_data', `invalid label name: ${quoteText(name)}`);
  return name;
}

const ESCAPED = 'U__';
const CODE_POINT_MAX = 0x10ffff;

/** What is not escaped as it should be stays as it is. */
function unescapedName(text: string): string {
  const body = text.slice(ESCAPED.length);
  const whole = /^(?:[^_]|__|_[0-9a-fA-F]{1,6}_)*$/;
  if (!whole.test(body)) return text;
  let isValid = true;
  const name = body.replaceAll(/__|_([0-9a-fA-F]{1,6})_/g, (escape, digits: string | undefined) => {
    if (digits === undefined) return escape.slice(1);
    const code = Number.parseInt(digits, 16);
    isValid &&= code <= CODE_POINT_MAX && (code < 0xd800 || code > 0xdfff);
    return isValid ? String.fromCodePoint(code) : '';
  });
  return isValid ? name : text;
}
