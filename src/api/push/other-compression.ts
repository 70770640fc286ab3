import type { GrpcEnd } from './grpc-client.ts';
import type { ExporterCompression } from './types.ts';
import { GRPC_CODES } from './verdicts.ts';

const NAMES_COMPRESSION = /grpc-encoding|decompress|compress|encoding/i;

/**
 * The compression to go on with when a target does not know the one it was sent, or null when that is not what it says. Many servers
 * know gzip only.
 */
export function otherCompression(used: ExporterCompression, end: GrpcEnd): ExporterCompression | null {
  if (end.code !== GRPC_CODES.UNIMPLEMENTED || used === 'none') return null;
  const accepted = end.acceptEncoding?.split(',').map((name) => name.trim().toLowerCase());
  const isRefused = accepted === undefined ? NAMES_COMPRESSION.test(end.message) : !accepted.includes(used);
  if (!isRefused) return null;
  return used === 'zstd' && (accepted === undefined || accepted.includes('gzip')) ? 'gzip' : 'none';
}
