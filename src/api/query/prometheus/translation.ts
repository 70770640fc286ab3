/**
 * How OpenTelemetry names become Prometheus names; the names of the strategies are those of Prometheus' setting `translation_strategy`. Stored data keeps its own
 * names, so another strategy is another view and never a loss.
 */
export type TranslationStrategy =
  | 'UnderscoreEscapingWithSuffixes'
  | 'NoUTF8EscapingWithSuffixes'
  | 'UnderscoreEscapingWithoutSuffixes'
  | 'NoTranslation';

/** What a strategy does to names. */
export interface NameRules {
  /** Whatever Prometheus did not allow in names before version 3 becomes `_`. */
  readonly escapes: boolean;
  /** Units and types are told by the end of a name: `_seconds`, `_total`. */
  readonly addsSuffixes: boolean;
}

export const NAME_RULES: Readonly<Record<TranslationStrategy, NameRules>> = {
  UnderscoreEscapingWithSuffixes: { escapes: true, addsSuffixes: true },
  NoUTF8EscapingWithSuffixes: { escapes: false, addsSuffixes: true },
  UnderscoreEscapingWithoutSuffixes: { escapes: true, addsSuffixes: false },
  NoTranslation: { escapes: false, addsSuffixes: false },
};
