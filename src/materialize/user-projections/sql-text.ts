/** The little that must be known about SQL as text: where a statement ends, and where names of tables lie in it. */

/** Ends of comments and literals by their beginnings. A missing end is the parser's to tell. */
function skipToken(text: string, at: number): number {
  const rest = text.slice(at, at + 2);
  if (rest === '--') return endOr(text, text.indexOf('\n', at), 1);
  if (rest === '/*') return endOr(text, text.indexOf('*/', at + 2), 2);
  const first = rest[0];
  if (first === "'" || first === '"') return quotedEnd(text, at, first, isEscapeString(text, at));
  if (first === '$') {
    const tag = /^\$(?:[A-Za-z_]\w*)?\$/.exec(text.slice(at, at + 64))?.[0];
    if (tag !== undefined) return endOr(text, text.indexOf(tag, at + tag.length), tag.length);
  }
  return at + 1;
}

function endOr(text: string, found: number, length: number): number {
  return found < 0 ? text.length : found + length;
}

/** `E'…'` knows backslashes. */
function isEscapeString(text: string, at: number): boolean {
  return text[at] === "'" && /(?:^|[^\w$])e$/i.test(text.slice(Math.max(0, at - 2), at));
}

function quotedEnd(text: string, at: number, quote: string, escapes: boolean): number {
  for (let next = at + 1; next < text.length; next++) {
    if (escapes && text[next] === '\\') next++;
    else if (text[next] === quote) {
      if (text[next + 1] !== quote) return next + 1;
      next++;
    }
  }
  return text.length;
}

/** Where the first statement of `text` ends: at its semicolon, or at the end. */
export function statementEnd(text: string): number {
  for (let at = 0; at < text.length; at = skipToken(text, at)) if (text[at] === ';') return at;
  return text.length;
}

const NAME = String.raw`(?:"(?:[^"]|"")*"|'(?:[^']|'')*'|[\p{L}_][\p{L}\p{N}_$]*)`;
const PATH = new RegExp(`${NAME}(?:\\s*\\.\\s*${NAME})*`, 'uy');
const NAMES = new RegExp(NAME, 'gu');

/** The dotted name at `at` and where it ends; null when there is none. */
export function namePath(text: string, at: number): { readonly names: readonly string[]; readonly end: number } | null {
  PATH.lastIndex = at;
  const found = PATH.exec(text)?.[0];
  if (found === undefined) return null;
  const names = [...found.matchAll(NAMES)].map(([name]) => unquoted(name));
  return { names, end: at + found.length };
}

function unquoted(name: string): string {
  const quote = name[0];
  if (quote !== '"' && quote !== "'") return name;
  return name.slice(1, -1).replaceAll(quote + quote, quote);
}

/** An identifier for SQL text. */
export function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
