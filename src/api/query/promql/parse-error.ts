import { TreasuryError } from '../../../base/index.ts';
import type { PositionRange } from './ast.ts';

/**
 * A text that is no PromQL. The message is Prometheus' own, word for word where known (`1:5: parse error: unexpected end of input`), since
 * people and tools know it; `facts` hold line, column and the range in UTF-16 offsets. Never retryable.
 */
export class PromqlParseError extends TreasuryError {
  override readonly name = 'PromqlParseError';
  /** What is wrong, without the position. */
  readonly reason: string;
  readonly range: PositionRange;

  constructor(text: string, range: PositionRange, reason: string) {
    const position = lineColumn(text, range.start);
    super('TREASURY_QUERY_INVALID', `${formatPosition(text, range.start)}: parse error: ${reason}`, {
      facts: { language: 'promql', ...position, start: range.start, end: range.end },
    });
    this.reason = reason;
    this.range = range;
  }
}

/** `line:column` of a place in `text` as errors and annotations of Prometheus write it. */
export function formatPosition(text: string, offset: number): string {
  if (text === '') return 'unknown position';
  const { line, column } = lineColumn(text, offset);
  return `${line}:${column}`;
}

/** Line and column from 1; columns count bytes of UTF-8, as Prometheus counts. `offset` is UTF-16. */
export function lineColumn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  return {
    line: before.split('\n').length,
    column: Buffer.byteLength(before.slice(lineStart), 'utf8') + 1,
  };
}
