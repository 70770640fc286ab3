import { isUtf8 } from './stray-bytes.ts';

/** Whether `name` may be a label's: any text but the empty one and such with bytes that are no UTF-8. */
export function isLabelName(name: string): boolean {
  return name !== '' && isUtf8(name);
}
