import { Worker, type WorkerOptions } from 'node:worker_threads';

/** Starts a thread of the module at `path`, relative to `parent` and without its extension: from sources or from the build. */
export function startThread(path: string, parent: string, options: WorkerOptions): Worker {
  const isFromSources = import.meta.url.endsWith('.ts');
  const module = new URL(`${path}${isFromSources ? '.ts' : '.js'}`, parent);
  const common = { execArgv: [], ...options };
  return isFromSources ? new Worker(sourcesLoader(module), { ...common, eval: true }) : new Worker(module, common);
}

/** `--import tsx` does nothing in a worker of Node 20, so the worker registers it before it loads its module. */
function sourcesLoader(module: URL): string {
  const api = import.meta.resolve('tsx/esm/api');
  return `import(${JSON.stringify(api)}).then(({ register }) => { register(); return import(${JSON.stringify(module.href)}); });`;
}
