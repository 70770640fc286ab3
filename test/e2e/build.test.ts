/**
 * Goal: what is installed works, and so do the sources by themselves (`npm run dev`), threads included.
 * Method: builds into a scratch directory as for a package and runs the server from there; runs another from the sources.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { root } from '../helpers/checkout.ts';
import { scratchDirectory, serverEnvironment } from '../helpers/server-process.ts';

test('the built server answers SQL and PromQL', async (t) => {
  const directory = scratchDirectory(t);
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const options = ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(directory, 'dist')];
  const built = spawnSync(process.execPath, [compiler, ...options], { encoding: 'utf8' });
  assert.equal(built.status, 0, built.stdout + built.stderr);
  for (const name of ['node_modules', 'migrations', 'package.json'])
    symlinkSync(join(root, name), join(directory, name));

  await assertAnswers(directory, [join(directory, 'dist/main.js')]);
});

test('a server from the sources answers SQL and PromQL', async (t) => {
  await assertAnswers(scratchDirectory(t), ['--import', import.meta.resolve('tsx'), join(root, 'src/main.ts')]);
});

/** Starts the server that Node runs with these arguments, and asks its threads. */
async function assertAnswers(directory: string, main: readonly string[]): Promise<void> {
  const ports = ['--grpc', '127.0.0.1:0', '--otlp-http', '127.0.0.1:0', '--http', '127.0.0.1:0'];
  const server = spawn(process.execPath, [...main, 'serve', '--data', join(directory, 'data'), ...ports], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: serverEnvironment(),
  });
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
}
