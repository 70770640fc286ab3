/**
 * Goal: what is installed works as the sources do, its threads included.
 * Method: builds into a scratch directory and runs the server from there.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { scratchDirectory, serverEnvironment } from '../helpers/server-process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('the built server answers SQL and PromQL', async (t) => {
  const directory = scratchDirectory(t);
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const options = ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(directory, 'dist')];
  const built = spawnSync(process.execPath, [compiler, ...options], { encoding: 'utf8' });
  assert.equal(built.status, 0, built.stdout + built.stderr);
  for (const name of ['node_modules', 'migrations', 'package.json'])
    symlinkSync(join(root, name), join(directory, name));

  const ports = ['--grpc', '127.0.0.1:0', '--otlp-http', '127.0.0.1:0', '--http', '127.0.0.1:0'];
  const server = spawn(
    process.execPath,
    [join(directory, 'dist/main.js'), 'serve', '--data', join(directory, 'data'), ...ports],
    { stdio: ['ignore', 'pipe', 'pipe'], env: serverEnvironment() },
  );
  const exited = once(server, 'exit');
  let errors = '';
  server.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  try {
    let http: string | undefined;
    for await (const line of createInterface({ input: server.stdout })) {
      http = / http=(\S+) /.exec(line)?.[1];
      break;
    }
    assert.ok(http !== undefined, errors);
    const sql = await fetch(`http://${http}/treasury/v1/sql`, { method: 'POST', body: 'SELECT 42' });
    assert.deepEqual(((await sql.json()) as { rows: unknown }).rows, [[42]], errors);
    const query = await fetch(`http://${http}/api/v1/query?query=absent(up)&time=4`);
    assert.deepEqual(
      await query.json(),
      { status: 'success', data: { resultType: 'vector', result: [{ metric: {}, value: [4, '1'] }] } },
      errors,
    );
  } finally {
    server.kill('SIGKILL');
    await exited;
  }
});
