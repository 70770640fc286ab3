/** Rows as a table for people. */

/** Longest text shown of a cell; the other formats give all of it. */
const CELL_CHARACTERS_MAX = 80;

/** Lines of a table with headings, columns padded to their widest cell. */
export function tableText(headings: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const cells = [headings, ...rows].map((row) => row.map(cellText));
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return `${[lines[0], rule, ...lines.slice(1)].join('\n')}\n`;
}

function cellText(value: unknown): string {
  const text = value === null ? 'NULL' : typeof value === 'string' ? value : JSON.stringify(value);
  const line = text.replaceAll('\n', '\\n');
  return line.length > CELL_CHARACTERS_MAX ? `${line.slice(0, CELL_CHARACTERS_MAX - 1)}…` : line;
}
