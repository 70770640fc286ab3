import { LIMITS, TreasuryError } from '../../../base/index.ts';
import { quoteText } from './quote.ts';

/** An expression that cannot be evaluated over these samples, though it parses. The message is Prometheus' own. */
export class PromqlEvaluationError extends TreasuryError {
  override readonly name = 'PromqlEvaluationError';

  constructor(message: string) {
    super('TREASURY_QUERY_INVALID', message, { facts: { language: 'promql' } });
  }
}

/** Two rows of one vector have the same labels. */
export function duplicateLabels(): PromqlEvaluationError {
  return new PromqlEvaluationError('vector cannot contain metrics with the same labelset');
}

/** More samples than `samplesMax`. */
export function tooManySamples(): TreasuryError {
  return new TreasuryError(
    'TREASURY_QUERY_LIMIT',
    'query processing would load too many samples into memory in query execution',
    { facts: { language: 'promql' } },
  );
}

/** A label that the expression makes, and that the thread may not have the memory for. */
export function tooLongLabel(name: string): TreasuryError {
  return new TreasuryError(
    'TREASURY_QUERY_LIMIT',
    `Cannot make label ${quoteText(name)}: its value is longer than ${LIMITS.promqlLabelLengthMax} characters`,
    { facts: { language: 'promql' } },
  );
}
