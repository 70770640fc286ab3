declare module 'lz4js' {
  /** One LZ4 frame of `bytes`. */
  export function compress(bytes: Uint8Array): Uint8Array;
}
