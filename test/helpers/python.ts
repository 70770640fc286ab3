/**
 * Python programs that read what the server and its commands write, with packages from PyPI (test/python-requirements.txt). The
 * interpreter is `python3`, or the one that TEST_PYTHON names; tests skip loudly when it lacks the packages.
 */
import { spawn, spawnSync } from 'node:child_process';
import { text } from 'node:stream/consumers';

const PYTHON = process.env['TEST_PYTHON'] ?? 'python3';
const missing = new Map<string, string | false>();

/** Why a test that needs these Python modules is skipped, or false when they are there. For node:test's `skip` option. */
export function pythonMissing(...modules: readonly string[]): string | false {
  const key = modules.join(', ');
  let reason = missing.get(key);
  if (reason === undefined) {
    const { status } = spawnSync(PYTHON, ['-c', `import ${key}`], { stdio: 'ignore' });
    reason =
      status === 0
        ? false
        : `${PYTHON} cannot import ${key}: pip install -r test/python-requirements.txt and set TEST_PYTHON`;
    missing.set(key, reason);
  }
  return reason;
}

/** Runs a program with arguments (`sys.argv[1:]`) and standard input. Answers what it printed; throws with what it complained of. */
export async function runPython(
  program: string,
  options: { readonly args?: readonly string[]; readonly input?: Uint8Array } = {},
): Promise<string> {
  const child = spawn(PYTHON, ['-c', `${program}${LEAVE}`, ...(options.args ?? [])]);
  // A program that has failed reads no further; its exit code tells.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const [output, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  if (code !== 0) throw new Error(`${PYTHON} ended with ${code}: ${errors}`);
  return output;
}

/** Threads of pyarrow and deltalake abort the process now and then while the interpreter is taken down: it is left without that. */
const LEAVE = `
import os, sys
sys.stdout.flush()
os._exit(0)
`;

/** Runs a program that prints JSON. */
export async function runPythonJson<Value>(
  program: string,
  options: Parameters<typeof runPython>[1] = {},
): Promise<Value> {
  return JSON.parse(await runPython(program, options)) as Value;
}
