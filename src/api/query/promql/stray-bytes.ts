/**
 * Strings of PromQL are bytes, and escapes may write such that are no UTF-8. In text each of those, a stray byte, is the half of a surrogate pair
 * U+DC80 to U+DCFF, which stands for nothing else: so no byte is lost, and names that are no UTF-8 are known as such.
 */
export function textOfBytes(bytes: Uint8Array): string {
  const text = decoder.decode(bytes);
  if (!text.includes('\uFFFD')) return text;
  let whole = '';
  for (let at = 0; at < bytes.length; ) {
    const character = characterAt(bytes, at);
    whole += character ?? String.fromCharCode(STRAY_FROM + bytes[at]! - 0x80);
    at += character === undefined ? 1 : Buffer.byteLength(character, 'utf8');
  }
  return whole;
}

/** The byte that a half of a surrogate pair stands for, `undefined` when it is none of these. */
export function strayByte(character: string): number | undefined {
  const code = character.charCodeAt(0);
  return character.length === 1 && code >= STRAY_FROM && code < STRAY_FROM + 0x80
    ? code - STRAY_FROM + 0x80
    : undefined;
}

/** Whether a text can be written as UTF-8: stray bytes cannot. */
export function isUtf8(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

/** A text with U+FFFD for everything that UTF-8 cannot hold. */
export function withoutStrayBytes(text: string): string {
  return isUtf8(text) ? text : text.replaceAll(/\p{Surrogate}/gu, '\uFFFD');
}

const STRAY_FROM = 0xdc80;
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The one character whose bytes begin at `at`. */
function characterAt(bytes: Uint8Array, at: number): string | undefined {
  const first = bytes[at]!;
  const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  try {
    const text = strictDecoder.decode(bytes.subarray(at, at + length));
    return text === '' ? undefined : text;
  } catch {
    return undefined;
  }
}
