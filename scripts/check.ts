/** The one gate for people and CI: every step below, in order, stopping at the first that fails. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const STEPS = ['format:check', 'lint', 'types', 'unused', 'generate:check', 'build', 'test'];

for (const step of STEPS) {
  console.log(`\n== npm run ${step}`);
  const started = Date.now();
  const result = spawnSync('npm', ['run', '--silent', step], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: 'inherit',
  });
  if (result.status !== 0) {
    console.error(`check failed at ${step}`);
    process.exit(result.status ?? 1);
  }
  console.log(`== ${step}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
}
