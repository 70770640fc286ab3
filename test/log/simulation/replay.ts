/** Runs seeds, and makes of a failure something that a person can work with: a short schedule and one command. */
import { makeSchedule, type Schedule, stepText } from './schedule.ts';
import { type Outcome, simulate, SimulationError } from './simulation.ts';

/** A seed that failed, as text to print. */
export interface Failure {
  readonly seed: number;
  readonly report: string;
}

/** Simulations that shrinking may take. */
const SHRINK_RUNS_MAX = 400;
const TRACE_LINES_MAX = 60;

/** Runs one seed; returns what happened, or its failure. */
export async function runSeed(seed: number): Promise<Outcome | Failure> {
  const schedule = makeSchedule(seed);
  const error = await failureOf(schedule);
  return error instanceof SimulationError ? { seed, report: await report(schedule, error) } : error;
}

async function report(schedule: Schedule, error: SimulationError): Promise<string> {
  const short = await shrink(schedule, error);
  const { seed, limits, retention, sectorBytes } = schedule;
  return [
    `Seed ${seed} fails: ${error.message}`,
    `Replay it: npm run soak:log -- --seed ${seed}`,
    '',
    `Schedule, cut from ${schedule.steps.length} to ${short.schedule.steps.length} steps, which fails: ${short.error.message}`,
    `  limits ${JSON.stringify(limits)}, retention ${JSON.stringify(retention)}, sectors of ${sectorBytes} bytes`,
    ...short.schedule.steps.map((step) => `  ${stepText(step)}`),
    '',
    `What happened last:`,
    ...short.error.trace.slice(-TRACE_LINES_MAX).map((line) => `  ${line}`),
    '',
    String(short.error.cause instanceof Error ? short.error.cause.stack : short.error.cause),
  ].join('\n');
}

/** Leaves steps out as long as the schedule fails in the same way; what the disk does differs with them. */
async function shrink(
  schedule: Schedule,
  error: SimulationError,
): Promise<{ schedule: Schedule; error: SimulationError }> {
  let best = { schedule: { ...schedule, steps: schedule.steps.slice(0, error.steps) }, error };
  let runs = 0;
  for (let size = best.schedule.steps.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < best.schedule.steps.length && runs < SHRINK_RUNS_MAX; runs++) {
      const shorter = { ...best.schedule, steps: best.schedule.steps.toSpliced(at, size) };
      const outcome = await failureOf(shorter);
      if (outcome instanceof SimulationError && kindOf(outcome) === kindOf(error))
        best = { schedule: shorter, error: outcome };
      else at += size;
    }
  }
  return best;
}

/** What is wrong, without the numbers of it. */
function kindOf(error: SimulationError): string {
  return error.message.split('\n')[0]!.replaceAll(/\d+/g, 'N');
}

async function failureOf(schedule: Schedule): Promise<Outcome | SimulationError> {
  try {
    return await simulate(schedule);
  } catch (error) {
    if (error instanceof SimulationError) return error;
    throw error;
  }
}
