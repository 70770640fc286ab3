/**
 * Whether `name` may be a label's: any text of UTF-8 but the empty one. Bytes that are none have become U+FFFD on the way here, which no name has
 * any use for itself.
 */
export function isLabelName(name: string): boolean {
  return name !== '' && !name.includes('\ufffd');
}
