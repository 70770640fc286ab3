import { dateFunctions } from './functions-dates.ts';
import { histogramFunctions } from './functions-histograms.ts';
import { infoFunctions } from './functions-info.ts';
import { labelFunctions } from './functions-labels.ts';
import { mathFunctions } from './functions-math.ts';
import { quantileFunctions } from './functions-quantiles.ts';
import { sortFunctions } from './functions-sort.ts';
import { timeFunctions } from './functions-times.ts';
import type { InstantFunction } from './instant-function.ts';

/** Functions of vectors and scalars by name. */
export const instantFunctions: ReadonlyMap<string, InstantFunction> = new Map(
  Object.entries({
    ...mathFunctions,
    ...dateFunctions,
    ...timeFunctions,
    ...labelFunctions,
    ...sortFunctions,
    ...histogramFunctions,
    ...quantileFunctions,
    ...infoFunctions,
  }),
);
