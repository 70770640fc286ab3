import type { VectorMatching } from './ast.ts';
import { parseSignedNumber } from './parse-number.ts';
import { parseGroupingLabels, parseOptionalGroupingLabels } from './parse-selector.ts';
import type { TokenStream } from './token-stream.ts';

/**
 * What may stand behind a binary operator: `bool`, `on` or `ignoring`, then `group_left` or `group_right`, then fill values. All are optional;
 * nothing written means that elements with equal labels match one to one.
 */
export function parseBinaryModifiers(tokens: TokenStream): { returnBool: boolean; matching: VectorMatching } {
  const returnBool = tokens.takeIf('bool') !== undefined;
  const how = tokens.takeIf('on') ?? tokens.takeIf('ignoring');
  const labels = how === undefined ? [] : parseGroupingLabels(tokens);
  const group = how === undefined ? undefined : (tokens.takeIf('group_left') ?? tokens.takeIf('group_right'));
  const include = group === undefined ? [] : parseOptionalGroupingLabels(tokens);
  return {
    returnBool,
    matching: {
      cardinality: group === undefined ? 'one-to-one' : group.kind === 'group_left' ? 'many-to-one' : 'one-to-many',
      labels,
      on: how?.kind === 'on',
      include,
      ...parseFill(tokens),
    },
  };
}

/** `fill` for both sides, or one for each side in any order. */
function parseFill(tokens: TokenStream): { fillLeft: number | undefined; fillRight: number | undefined } {
  if (tokens.takeIf('fill') !== undefined) {
    const value = parseFillValue(tokens);
    return { fillLeft: value, fillRight: value };
  }
  let fillLeft = tokens.takeIf('fill_left') === undefined ? undefined : parseFillValue(tokens);
  const fillRight = tokens.takeIf('fill_right') === undefined ? undefined : parseFillValue(tokens);
  if (fillLeft === undefined && fillRight !== undefined && tokens.takeIf('fill_left') !== undefined) {
    fillLeft = parseFillValue(tokens);
  }
  return { fillLeft, fillRight };
}

function parseFillValue(tokens: TokenStream): number {
  tokens.expect('(');
  const literal = parseSignedNumber(tokens) ?? tokens.unexpected();
  tokens.expect(')');
  return literal.value;
}
