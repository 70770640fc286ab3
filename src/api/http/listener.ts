/** A listening HTTP server with an orderly end. */
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errorMessage, TreasuryError } from '../../base/index.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** What is served, for messages. */
  readonly name: string;
  /** How long requests under way may take to end once `stop` was called. */
  readonly drainMs: number;
  readonly server?: ServerOptions;
  /** Called before it listens. */
  readonly prepare?: (server: Server) => void;
}

export interface HttpListener {
  /** HOST:PORT with the real port; IPv6 hosts in brackets. */
  readonly address: string;
  readonly port: number;
  /** Takes no more connections, lets requests under way end, cuts those that last longer than `drainMs`. Never rejects. */
  stop(): Promise<void>;
}

/** Listens. Rejects with TreasuryError TREASURY_CONFIG when it cannot. */
export async function listen(handler: RequestListener, options: ListenOptions): Promise<HttpListener> {
  const { host, name, drainMs } = options;
  const server = createServer(options.server ?? {}, handler);
  options.prepare?.(server);
  const shownHost = host.includes(':') ? `[${host}]` : host;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const message = `Cannot listen for ${name} on ${shownHost}:${options.port}: ${errorMessage(error)}`;
      reject(new TreasuryError('TREASURY_CONFIG', message, { cause: error }));
    });
    server.listen(options.port, host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  let stopping: Promise<void> | null = null;
  return {
    address: `${shownHost}:${port}`,
    port,
    stop() {
      stopping ??= close(server, drainMs);
      return stopping;
    },
  };
}

function close(server: Server, drainMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), drainMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
