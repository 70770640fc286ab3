import { readFileSync } from 'node:fs';
import { errorMessage } from '../../base/index.ts';
import type { ExporterTls } from './types.ts';

/** Options of Node's TLS for one connection. Throws an Error that names the file which cannot be read. */
export function clientTls(tls: ExporterTls | undefined): ClientTls {
  if (tls === undefined) return {};
  const { caFile, certFile, keyFile, serverName, skipVerify } = tls;
  return {
    ...(caFile === undefined ? {} : { ca: contentOf('caFile', caFile) }),
    ...(certFile === undefined ? {} : { cert: contentOf('certFile', certFile) }),
    ...(keyFile === undefined ? {} : { key: contentOf('keyFile', keyFile) }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(skipVerify === true ? { rejectUnauthorized: false } : {}),
  };
}

interface ClientTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: false;
}

/** At every connection, so that a certificate that was renewed is used. Small files: it does not wait for others. */
function contentOf(field: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`Cannot read tls.${field}: ${errorMessage(error)}`, { cause: error });
  }
}
