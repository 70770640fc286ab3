import { existsSync } from 'node:fs';

/**
 * `wanted`, or with a number behind it when it, or it with one of `suffixes`, exists. For names that tell a time: a clock that went back
 * shows one that was used already.
 */
export function freePath(wanted: string, suffixes: readonly string[] = []): string {
  for (let i = 1; ; i++) {
    const path = i === 1 ? wanted : `${wanted}-${i}`;
    if (['', ...suffixes].every((suffix) => !existsSync(path + suffix))) return path;
  }
}
