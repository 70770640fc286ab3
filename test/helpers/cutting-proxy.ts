/** A TCP proxy that lets through what a client sends and can keep back what a server answers, until it cuts the connection. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  /** HOST:PORT for clients. */
  readonly address: string;
  /** Connections that were cut. */
  readonly cuts: number;
  /** From now on no answer gets through; bytes that are kept back so far. */
  holdAnswers(): void;
  /** Cuts every connection, what was kept back with it, and lets answers of new ones through. */
  cut(): void;
  close(): Promise<void>;
}

/** Starts a proxy before `target` (HOST:PORT). */
export async function startCuttingProxy(target: string): Promise<CuttingProxy> {
  const [host, port] = target.split(':') as [string, string];
  const pairs = new Set<readonly [Socket, Socket]>();
  let isHolding = false;
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(port), host);
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.once('close', () => {
        pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
    }
    client.on('data', (chunk) => upstream.write(chunk));
    upstream.on('data', (chunk) => {
      if (!isHolding) client.write(chunk);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    cuts += pairs.size;
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    isHolding = false;
  };
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get cuts() {
      return cuts;
    },
    holdAnswers() {
      isHolding = true;
    },
    cut,
    async close() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
