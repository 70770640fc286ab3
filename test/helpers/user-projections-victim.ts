/** A process to be killed: commits logs all the time, with a projection of a user that follows. Prints a line when it has begun. */
import { openUserTables, projectionUntil } from './user-projections.ts';

const [folder, text] = process.argv.slice(2) as [string, string];
const tables = await openUserTables({ after() {} }, folder);
await tables.write('routes', text);
const projections = tables.start({ limits: { userRangeEntriesMax: 3 } });
await projectionUntil(projections, 'routes', () => true);
process.stdout.write('began\n');
for (;;) {
  await tables.addLogs(5, 3);
  await new Promise((resolve) => setTimeout(resolve, 2));
}
