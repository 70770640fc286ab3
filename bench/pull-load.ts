/**
 * Reads one HTTP answer to its end and throws it away; prints one JSON line: PullTiming. With a directory instead of a URL it first
 * starts a server, a process of its own, that sends the directory's segments one after the other: what any server could reach.
 *
 *   pull-load.ts '{"url":"http://127.0.0.1:4319/treasury/v1/log"}' | '{"directory":"/data/log"}'
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, readdirSync } from 'node:fs';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PullTiming {
  readonly bytes: number;
  readonly seconds: number;
}

interface Options {
  readonly url?: string;
  readonly directory?: string;
}

const READ_BYTES = 1024 * 1024;

async function read(url: string): Promise<PullTiming> {
  const started = performance.now();
  const request = get(url);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`The server answered ${response.statusCode}`);
  let bytes = 0;
  for await (const chunk of response) bytes += (chunk as Buffer).length;
  return { bytes, seconds: (performance.now() - started) / 1000 };
}

async function readFiles(directory: string): Promise<PullTiming> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify({ directory })], {
    execArgv: ['--import', 'tsx'],
  });
  try {
    const [port] = (await once(child, 'message')) as [number];
    return await read(`http://127.0.0.1:${port}/`);
  } finally {
    child.kill();
  }
}

function serveFiles(directory: string): void {
  const names = readdirSync(directory).filter((name) => name.endsWith('.arrows'));
  const server = createServer((_request, response) => {
    void (async () => {
      for (const name of names.toSorted()) {
        const file = createReadStream(join(directory, name), { highWaterMark: READ_BYTES });
        file.pipe(response, { end: false });
        await once(file, 'end');
      }
      response.end();
    })();
  });
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

const options = JSON.parse(process.argv[2] ?? '{}') as Options;
if (options.url !== undefined) console.log(JSON.stringify(await read(options.url)));
else if (process.send !== undefined) serveFiles(options.directory!);
else console.log(JSON.stringify(await readFiles(options.directory!)));
