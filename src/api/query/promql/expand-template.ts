/** What a match gives: the text of a group by number or name, '' or null for none. */
export interface MatchedGroups {
  group(group: number | string): string | null;
  groupCount(): number;
}

/**
 * Puts the groups of a match into a template, as Go's `Regexp.Expand` does: `$1`, `$name`, `${name}`, `$$` for a dollar. A name without braces is
 * taken as long as possible, and groups that there are not are empty. Undefined when that is longer than `lengthMax`: nothing of it is made.
 */
export function expandTemplate(template: string, match: MatchedGroups, lengthMax: number): string | undefined {
  let length = template.length;
  const parts = template.matchAll(REFERENCE);
  for (const [whole, braced, bare] of parts) {
    length += textOf(whole, braced ?? bare, match).length - whole.length;
    if (length > lengthMax) return undefined;
  }
  if (length > lengthMax) return undefined;
  return template.replaceAll(REFERENCE, (whole, braced: string | undefined, bare: string | undefined) =>
    textOf(whole, braced ?? bare, match),
  );
}

function textOf(whole: string, name: string | undefined, match: MatchedGroups): string {
  return whole === '$$' ? '$' : groupText(match, name ?? '');
}

/** A dollar followed by anything else stands for itself. */
const REFERENCE = /\$\$|\$\{([\p{L}\p{N}_]+)\}|\$([\p{L}\p{N}_]+)/gu;

function groupText(match: MatchedGroups, name: string): string {
  if (/^\d+$/.test(name)) {
    const index = Number(name);
    return index <= match.groupCount() ? (match.group(index) ?? '') : '';
  }
  try {
    return match.group(name) ?? '';
  } catch {
    return '';
  }
}
