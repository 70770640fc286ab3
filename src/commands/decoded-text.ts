/** Decoded rows for people. */
import type { DecodedRow, Tree } from './decoded-rows.ts';

/** Lines of one row, indented below its entry. */
export function decodedRowText({ row, resource, scope, record }: DecodedRow): string {
  const lines = [`  row ${row}`];
  for (const [name, tree] of Object.entries({ resource, scope, record })) {
    lines.push(`    ${name}`, ...treeLines(tree, '      '));
  }
  return `${lines.join('\n')}\n`;
}

function treeLines(tree: Tree, indent: string): string[] {
  return Object.entries(tree as Readonly<Record<string, Tree>>).flatMap(([name, value]) => {
    if (isTyped(value)) return [`${indent}${name} (${value.type}): ${leafText(value.value)}`];
    if (!Array.isArray(value)) return [`${indent}${name}: ${leafText(value)}${timeNote(name, value)}`];
    const items = value as readonly Tree[];
    if (items.every(isTyped)) {
      const attributes = items.map(
        ({ key, type, value: own }) => `${indent}  ${keyText(key)} (${type}): ${leafText(own)}`,
      );
      return items.length === 0 ? [] : [`${indent}${name}`, ...attributes];
    }
    if (items.every((item) => typeof item !== 'object')) return [`${indent}${name}: ${items.map(String).join(', ')}`];
    return items.flatMap((item, i) => [`${indent}${name} ${i}`, ...treeLines(item, `${indent}  `)]);
  });
}

function isTyped(tree: Tree): tree is { readonly key?: Tree; readonly type: string; readonly value: Tree } {
  return typeof tree === 'object' && tree !== null && !Array.isArray(tree) && 'type' in tree && 'value' in tree;
}

/** What could be taken for something else is quoted. */
function keyText(key: Tree | undefined): string {
  return typeof key === 'string' && /^[\w.:/-]+$/.test(key) ? key : leafText(key ?? null);
}

function leafText(value: Tree): string {
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value);
}

const NANOS_PER_SECOND = 1_000_000_000n;
/** The last second that JavaScript can write. */
const SECONDS_MAX = 8_640_000_000_000n;

/** A time as people write it, to the nanosecond. */
function timeNote(name: string, value: Tree): string {
  if (typeof value !== 'bigint' || !name.endsWith('imeUnixNano') || name.startsWith('duration')) return '';
  const seconds = value / NANOS_PER_SECOND;
  if (value === 0n || seconds > SECONDS_MAX) return '';
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, -'.000Z'.length);
  return ` (${whole}.${String(value % NANOS_PER_SECOND).padStart(9, '0')}Z)`;
}
