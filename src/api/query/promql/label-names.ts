import { isUtf8 } from './stray-bytes.ts';

/** Whether `name` may be a label's: any text of UTF-8 but the empty one. */
export function isLabelName(name: string): boolean {
  return name !== '' && isUtf8(name);
}
