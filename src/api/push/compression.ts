import { gzipSync } from 'node:zlib';
import { compressZstd } from '../../otap/index.ts';
import type { ExporterCompression } from './types.ts';

export const DEFAULT_COMPRESSION: ExporterCompression = 'zstd';

/** Dictionaries have taken the repetitions out already, or there are so many that any level finds them. */
const ZSTD_LEVEL = 1;
const GZIP_LEVEL = 2;

/** Bytes as they go over the wire. `initZstd` must have settled. */
export function compressed(bytes: Uint8Array, compression: ExporterCompression): Uint8Array {
  switch (compression) {
    case 'zstd':
      return compressZstd(bytes, ZSTD_LEVEL);
    case 'gzip':
      return gzipSync(bytes, { level: GZIP_LEVEL });
    case 'none':
      return bytes;
  }
}
