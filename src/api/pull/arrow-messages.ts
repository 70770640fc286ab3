/** What an encapsulated Arrow message is, by its first bytes. */

/** Of the union MessageHeader. */
export const MESSAGE_TYPES = { SCHEMA: 1, RECORD_BATCH: 3 } as const;

const PREFIX_BYTES = 8;
const HEADER_TYPE_SLOT = 4 + 2 * 1;

/** Whether the message is the end of a stream. */
export function isEnd(message: Uint8Array): boolean {
  return view(message).getUint32(4, true) === 0;
}

/** The type of the message's header: MESSAGE_TYPES. */
export function headerType(message: Uint8Array): number {
  const data = view(message);
  const table = PREFIX_BYTES + data.getUint32(PREFIX_BYTES, true);
  const vtable = table - data.getInt32(table, true);
  const place = data.getUint16(vtable, true) > HEADER_TYPE_SLOT ? data.getUint16(vtable + HEADER_TYPE_SLOT, true) : 0;
  return place === 0 ? 0 : data.getUint8(table + place);
}

function view({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
