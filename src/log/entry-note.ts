/** What an entry stream says besides its entries: where the next frame stood in its segment, what is missing, how far it went. */
import { NOTE_TEMPLATE } from './arrow-messages.ts';

export interface EntryNote {
  /** Base offset of the segment that the entries behind this are from. */
  readonly segment: bigint;
  /** Position of the next frame in that segment's file: its CRC begins with it. */
  readonly position: number;
  /** Entries that are not there. */
  readonly gap?: EntryGap;
  /** At the end, and where nothing came for a while: everything below was told. */
  readonly next?: bigint;
}

/** Offsets from `from` up to, not including, `to` that hold nothing that can be read. */
export interface EntryGap {
  readonly from: bigint;
  readonly to: bigint;
  readonly reason: string;
}

export const NOTE_BYTES = NOTE_TEMPLATE.bytes.length;

/** Longer reasons are cut. */
const REASON_CHARS_MAX = 160;
const TEMPLATE = Buffer.from(NOTE_TEMPLATE.bytes);
const NOT_PLAIN = /[^ !#-[\]-~]/g;
/** How a note begins. */
export const NOTE_PREFIX = Buffer.from(TEMPLATE.subarray(0, 8));

/** The note as one message, `NOTE_BYTES` long. */
export function encodeNote({ segment, position, gap, next }: EntryNote): Uint8Array {
  const text = JSON.stringify({
    segment: String(segment),
    position: String(position),
    ...(gap === undefined
      ? {}
      : {
          gapFrom: String(gap.from),
          gapTo: String(gap.to),
          reason: gap.reason.slice(0, REASON_CHARS_MAX).replace(NOT_PLAIN, '?'),
        }),
    ...(next === undefined ? {} : { next: String(next) }),
  });
  const bytes = Buffer.from(TEMPLATE);
  bytes.write(text, NOTE_TEMPLATE.value.position, 'latin1');
  return bytes;
}

/** Reads a note back; the reason as text when it is none. */
export function decodeNote(bytes: Buffer): EntryNote | string {
  const { position, length } = NOTE_TEMPLATE.value;
  if (!isSameAround(bytes)) return 'note is not as notes are';
  try {
    const value = JSON.parse(bytes.toString('latin1', position, position + length)) as Record<string, string>;
    const at = (name: string) => BigInt(value[name] as string);
    return {
      segment: at('segment'),
      position: Number(at('position')),
      ...('gapFrom' in value ? { gap: { from: at('gapFrom'), to: at('gapTo'), reason: String(value['reason']) } } : {}),
      ...('next' in value ? { next: at('next') } : {}),
    };
  } catch {
    return 'note cannot be read';
  }
}

function isSameAround(bytes: Buffer): boolean {
  const { position, length } = NOTE_TEMPLATE.value;
  if (TEMPLATE.compare(bytes, 0, position, 0, position) !== 0) return false;
  return TEMPLATE.compare(bytes, position + length, NOTE_BYTES, position + length, NOTE_BYTES) === 0;
}
