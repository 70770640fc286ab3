/**
 * Makes test/fixtures/hostile: inputs that no honest sender sends, each a file named by what is wrong with it. How each is sent, and what
 * must happen, is in the table of that folder's README, which test/faults/hostile-corpus.test.ts reads.
 *
 *   node --import tsx scripts/hostile-inputs.ts
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { hostileHttp } from '../test/helpers/hostile-corpus-http.ts';
import { hostileOtap } from '../test/helpers/hostile-corpus-otap.ts';
import { hostileOtlp } from '../test/helpers/hostile-corpus-otlp.ts';

const folder = fileURLToPath(new URL('../test/fixtures/hostile/', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const name of readdirSync(folder)) if (name.endsWith('.bin')) rmSync(folder + name);
const made = { ...hostileOtap(), ...hostileOtlp(), ...hostileHttp() };
let bytes = 0;
for (const [name, content] of Object.entries(made)) {
  writeFileSync(`${folder}${name}.bin`, content);
  bytes += content.length;
}
console.log(`${Object.keys(made).length} files, ${bytes} bytes`);
