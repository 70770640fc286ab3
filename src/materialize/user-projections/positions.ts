/** Places in the text of a file: what DuckDB says about errors as line and column, both from 1. */

export interface TextPosition {
  readonly line: number;
  /** In UTF-16 code units, as editors count. */
  readonly column: number;
}

/** The place of a character. */
export function positionOf(text: string, at: number): TextPosition {
  const before = text.slice(0, at);
  return { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') };
}

/** The character at a place in the UTF-8 form of `text`. */
export function characterAt(text: string, byte: number): number {
  return Buffer.from(text, 'utf8').subarray(0, byte).toString('utf8').length;
}

/** The same of a place that is counted in code points. */
export function codeUnitAt(text: string, codePoints: number): number {
  return Array.from(text).slice(0, codePoints).join('').length;
}

const SHOWN = /^LINE (\d+): (.*)\n( *)\^/m;
const CUT = '...';

/** The place that a message of DuckDB shows (`LINE 2: … ^`), or null. Long lines are shown in part. */
export function shownPosition(text: string, message: string): TextPosition | null {
  const found = SHOWN.exec(message);
  if (found === null) return null;
  const line = Number(found[1]);
  const shown = found[2] ?? '';
  const marked = (found[3] ?? '').length - `LINE ${line}: `.length;
  if (!shown.startsWith(CUT)) return { line, column: marked + 1 };
  const part = shown.slice(CUT.length).replace(/\.\.\.$/, '');
  const start = (text.split('\n')[line - 1] ?? '').indexOf(part);
  return { line, column: Math.max(0, start) + marked - CUT.length + 1 };
}

/** A message of DuckDB without the part that shows the place. */
export function withoutPlace(message: string): string {
  return message
    .replace(/\n*^LINE \d+: [\s\S]*$/m, '')
    .replace(/\s*\n\s*/g, ' ')
    .trim();
}
