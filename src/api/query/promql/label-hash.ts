import type { Labels } from './labels.ts';
import { xxHash64 } from './xxhash64.ts';

/** Where labels fall between 0 and 1, evenly and always the same: upstream's hash of them by the greatest hash. */
export function hashRatio(labels: Labels): number {
  const [high, low] = xxHash64(encode(labels));
  return (high * 2 ** 32 + low) / 2 ** 64;
}

/** Names and values, each behind its length: one byte, or 255 and three bytes for longer ones. Source: model/labels/labels_stringlabels.go. */
function encode(labels: Labels): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const pair of labels.pairs()) {
    for (const text of pair) {
      const bytes = Buffer.from(text, 'utf8');
      const { length } = bytes;
      parts.push(length < 255 ? Uint8Array.of(length) : Uint8Array.of(255, length, length >> 8, length >> 16), bytes);
    }
  }
  return Buffer.concat(parts);
}
