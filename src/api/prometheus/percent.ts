/** Percent encoding of URLs and forms, as bytes: what is encoded need not be UTF-8. */

/** What Go says of the first escape that is none, undefined when all are. */
export function escapeFault(text: string): string | undefined {
  const at = text.search(/%(?![0-9a-fA-F]{2})/);
  return at === -1 ? undefined : text.slice(at, at + 3);
}

/** The bytes that `text` stands for, which has a character for each byte. Check `escapeFault` before. */
export function unescapedBytes(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  let length = bytes.indexOf(PERCENT);
  if (length === -1) return bytes;
  for (let at = length; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte !== PERCENT) {
      bytes[length++] = byte;
      continue;
    }
    bytes[length++] = 16 * digitOf(bytes[at + 1]!) + digitOf(bytes[at + 2]!);
    at += 2;
  }
  return bytes.subarray(0, length);
}

const PERCENT = 0x25;

/** Of a hexadecimal digit in ASCII: letters of both cases have 1 to 6 in their low bits, which stand for 10 to 15. */
function digitOf(code: number): number {
  return code <= 0x39 ? code - 0x30 : (code & 0x0f) + 9;
}
