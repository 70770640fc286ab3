/** `table-folder.ts` for others, loaded with the first folder: DuckDB and the projections would cost a server's main thread megabytes. */
import type { TableFolder, TableFolderOptions, TableFolderState } from './table-folder.ts';

/** As `openTableFolder` of `table-folder.ts`. */
export async function openTableFolder(options: TableFolderOptions): Promise<TableFolder> {
  return (await import('./table-folder.ts')).openTableFolder(options);
}

/** As `readTableFolder` of `table-folder.ts`. */
export async function readTableFolder(directory: string): Promise<TableFolderState | null> {
  return (await import('./table-folder.ts')).readTableFolder(directory);
}
