import { errorMessage, TreasuryError } from '../base/index.ts';

// Each write tells its own failure; without a listener the event would end the process with a stack trace.
process.stdout.on('error', () => {});

/**
 * Writes to stdout, no faster than it is read. A reader that has left (`| head`) ends the process quietly, as Unix tools do. Throws
 * TreasuryError when it cannot be written, as on a full disk.
 */
export function writeOut(part: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(part, (error) => {
      if (error === null || error === undefined) resolve();
      else if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(0);
      else {
        const message = `Cannot write to standard output: ${errorMessage(error)}`;
        reject(new TreasuryError('TREASURY_CONFIG', message, { cause: error }));
      }
    });
  });
}
