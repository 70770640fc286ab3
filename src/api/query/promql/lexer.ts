import { isDigit, isNamePart, isNameStart, isSpace } from './characters.ts';
import { nameCharacter, quoteCharacter, quoteText } from './quote.ts';
import { scanDurationRest, scanNumber, TextCursor } from './text-cursor.ts';
import { keywordKind, type Token, type TokenKind } from './tokens.ts';

/**
 * Cuts a text into the tokens of PromQL, one at a time, so that an error is found no earlier than the parser gets there. What is refused, and
 * in which words, follows Prometheus 3.14 (promql/parser/lex.go). After an `error` token come only `eof` tokens.
 */
export class Lexer {
  readonly #cursor: TextCursor;
  /** Where the token that is being read begins. */
  #start = 0;
  #mode: Mode = 'statement';
  #parenthesesOpen = 0;
  #isBraceOpen = false;
  #isBracketOpen = false;
  /** A colon, and a number or duration, stood in the brackets; the latter is never forgotten, as upstream. */
  #hasColon = false;
  #hasDuration = false;

  constructor(text: string) {
    this.#cursor = new TextCursor(text);
  }

  /** Where the text that no token has taken begins. */
  get position(): number {
    return this.#cursor.position;
  }

  next(): Token {
    for (;;) {
      const token = this.#read();
      if (token !== undefined) return token;
    }
  }

  /** One step: a token, or `undefined` when only spaces went by. */
  #read(): Token | undefined {
    if (this.#mode === 'done') return this.#token('eof');
    if (this.#mode === 'duration') return this.#readInBrackets();
    return this.#isBraceOpen ? this.#readInBraces() : this.#readStatement();
  }

  #readStatement(): Token | undefined {
    const cursor = this.#cursor;
    const character = cursor.next();
    if (character === undefined) {
      if (this.#parenthesesOpen !== 0) return this.#error('unclosed left parenthesis');
      if (this.#isBracketOpen) return this.#error('unclosed left bracket');
      return this.#done('eof');
    }
    if (character === '#') return this.#comment();
    if (isSpace(character)) return this.#skipSpaces();
    switch (character) {
      case ',':
      case '*':
      case '/':
      case '%':
      case '+':
      case '-':
      case '^':
      case '@':
        return this.#token(character);
      case '=':
      case '!':
      case '<':
      case '>':
        return this.#comparison(character);
      case '"':
      case "'":
      case '`':
        return this.#string(character);
      case '(':
        return this.#openParenthesis();
      case ')':
        return this.#closeParenthesis();
      case '{':
        this.#isBraceOpen = true;
        return this.#token('{');
      case '[':
        return this.#openBracket();
      case ']':
        if (!this.#isBracketOpen) return this.#error("unexpected right bracket ']'");
        this.#isBracketOpen = false;
        return this.#token(']');
      default:
        return this.#word(character);
    }
  }

  #comparison(first: '=' | '!' | '<' | '>'): Token {
    const cursor = this.#cursor;
    const second = cursor.peek();
    if (first === '!') {
      if (second !== '=') return this.#error(`unexpected character after '!': ${quoteCharacter(second)}`);
      cursor.next();
      return this.#token('!=');
    }
    if (second === '=') {
      cursor.next();
      return this.#token(`${first}=`);
    }
    if (first === '=') {
      return second === '~' ? this.#error("unexpected character after '=': '~'") : this.#token('=');
    }
    if (second !== '/') return this.#token(first);
    cursor.next();
    return this.#token(`${first}/`);
  }

  /** What begins with a digit, a letter or a colon. */
  #word(first: string): Token {
    const cursor = this.#cursor;
    if (isDigit(first) || (first === '.' && isDigit(cursor.peek()))) {
      cursor.position = this.#start;
      return this.#numberOrDuration();
    }
    if (!isNameStart(first) && first !== ':') return this.#error(`unexpected character: ${quoteCharacter(first)}`);
    if (!this.#isBracketOpen) return this.#name();
    if (first === ':') {
      if (this.#hasColon) return this.#error("unexpected colon ':'");
      this.#hasColon = true;
      return this.#token(':');
    }
    return this.#durationKeyword(first) ?? this.#error(`unexpected character: ${quoteCharacter(first)}, expected ':'`);
  }

  /** A name or a keyword; `fill` and its kin are keywords only in front of a parenthesis, since metrics may be called so. */
  #name(): Token {
    const cursor = this.#cursor;
    cursor.acceptWhile((character) => isNamePart(character) || character === ':');
    const word = cursor.text.slice(this.#start, cursor.position);
    const keyword = keywordKind(word);
    if (keyword === 'fill' || keyword === 'fill_left' || keyword === 'fill_right') {
      const behind = cursor.text.slice(cursor.position).trimStart();
      return this.#token(behind.startsWith('(') ? keyword : 'identifier');
    }
    if (keyword !== undefined) return this.#token(keyword);
    return this.#token(word.includes(':') ? 'metric-identifier' : 'identifier');
  }

  /** Inside braces no word is a keyword. */
  #readInBraces(): Token | undefined {
    const cursor = this.#cursor;
    const character = cursor.next();
    if (character === undefined) return this.#error('unexpected end of input inside braces');
    if (character === '#') return this.#comment();
    if (isSpace(character)) return this.#skipSpaces();
    if (isNameStart(character)) {
      cursor.acceptWhile(isNamePart);
      return this.#token('identifier');
    }
    switch (character) {
      case ',':
        return this.#token(',');
      case '"':
      case "'":
      case '`':
        return this.#string(character);
      case '=':
        return this.#token(cursor.accept('~') ? '=~' : '=');
      case '!':
        if (cursor.accept('~')) return this.#token('!~');
        if (cursor.accept('=')) return this.#token('!=');
        return this.#error(`unexpected character after '!' inside braces: ${quoteCharacter(cursor.peek())}`);
      case '{':
        return this.#error("unexpected left brace '{'");
      case '}':
        this.#isBraceOpen = false;
        return this.#token('}');
      default:
        return this.#error(`unexpected character inside braces: ${quoteCharacter(character)}`);
    }
  }

  /** Inside brackets, up to the first number; what follows one is read as a statement, with the bracket still open. */
  #readInBrackets(): Token | undefined {
    const cursor = this.#cursor;
    const character = cursor.next();
    if (character === undefined) return this.#error('unexpected end of input in duration expression');
    if (isSpace(character)) return this.#skipSpaces();
    switch (character) {
      case ']':
        this.#mode = 'statement';
        this.#isBracketOpen = false;
        this.#hasColon = false;
        return this.#token(']');
      case ':':
        return this.#colonInBrackets();
      case '(':
        return this.#openParenthesis();
      case ')':
        return this.#closeParenthesis();
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
      case '^':
      case ',':
        return this.#token(character);
      default:
    }
    if (isDigit(character) || (character === '.' && isDigit(cursor.peek()))) {
      cursor.position = this.#start;
      this.#hasDuration = true;
      this.#mode = 'statement';
      return this.#numberOrDuration();
    }
    return (
      this.#durationKeyword(character) ??
      this.#error(`unexpected character in duration expression: ${quoteCharacter(character)}`)
    );
  }

  #colonInBrackets(): Token {
    const token = this.#token(':');
    if (!this.#hasDuration) return this.#error('unexpected colon before duration in duration expression');
    if (this.#hasColon) return this.#error('unexpected repeated colon in duration expression');
    this.#hasColon = true;
    return token;
  }

  /** `step`, `range`, `min_of` or `max_of`, when the word that begins with `first` is one. */
  #durationKeyword(first: string): Token | undefined {
    if (!'sSrRmM'.includes(first)) return undefined;
    const cursor = this.#cursor;
    cursor.acceptWhile(isNameStart);
    const kind = cursor.text.slice(this.#start, cursor.position).toLowerCase();
    return kind === 'step' || kind === 'range' || kind === 'min_of' || kind === 'max_of'
      ? this.#token(kind)
      : undefined;
  }

  #openParenthesis(): Token {
    this.#parenthesesOpen += 1;
    return this.#token('(');
  }

  #closeParenthesis(): Token {
    const token = this.#token(')');
    this.#parenthesesOpen -= 1;
    return this.#parenthesesOpen < 0 ? this.#error("unexpected right parenthesis ')'") : token;
  }

  #openBracket(): Token {
    if (this.#isBracketOpen) return this.#error("unexpected left bracket '['");
    this.#hasColon = false;
    this.#isBracketOpen = true;
    this.#mode = 'duration';
    return this.#token('[');
  }

  #numberOrDuration(): Token {
    const cursor = this.#cursor;
    if (scanNumber(cursor, { isSeries: false })) return this.#token('number');
    if (scanDurationRest(cursor)) return this.#token('duration');
    const shown = cursor.text.slice(this.#start, cursor.position);
    return this.#error(`bad number or duration syntax: ${quoteText(shown)}`);
  }

  #string(quote: string): Token {
    const cursor = this.#cursor;
    for (;;) {
      const character = cursor.next();
      if (character === quote) return this.#token('string');
      if (character === '\uFFFD' || isLoneSurrogate(character)) return this.#error('invalid UTF-8 rune');
      if (quote === '`') {
        if (character === undefined) return this.#error('unterminated raw string');
        continue;
      }
      if (character === undefined || character === '\n') return this.#error('unterminated quoted string');
      if (character === '\\') {
        const complaint = this.#escape(quote);
        if (complaint !== undefined) return this.#error(complaint);
      }
    }
  }

  /** Reads over an escape behind its backslash; what is wrong with it, if anything. */
  #escape(quote: string): string | undefined {
    const cursor = this.#cursor;
    const letter = cursor.next();
    if (letter === undefined) return 'escape sequence not terminated';
    if ('abfnrtv\\'.includes(letter) || letter === quote) return undefined;
    const octal = letter >= '0' && letter <= '7';
    const form = octal ? OCTAL : ESCAPES[letter];
    if (form === undefined) return `unknown escape sequence ${nameCharacter(letter)}`;
    let digits = octal ? letter : '';
    while (digits.length < form.digits) {
      const digit = cursor.next();
      if (digit === undefined) return 'escape sequence not terminated';
      if (!form.alphabet.includes(digit)) return `illegal character ${nameCharacter(digit)} in escape sequence`;
      digits += digit;
    }
    const code = Number.parseInt(digits, octal ? 8 : 16);
    const isValid = code <= form.codeMax && !(code >= 0xd800 && code < 0xe000);
    return isValid ? undefined : 'escape sequence is an invalid Unicode code point';
  }

  #comment(): Token {
    this.#cursor.acceptWhile((character) => character !== '\n' && character !== '\r');
    return this.#token('comment');
  }

  #skipSpaces(): undefined {
    this.#cursor.acceptWhile(isSpace);
    this.#start = this.#cursor.position;
    return undefined;
  }

  #token(kind: TokenKind): Token {
    const start = this.#start;
    const end = this.#cursor.position;
    this.#start = end;
    return { kind, text: this.#cursor.text.slice(start, end), start, end };
  }

  #done(kind: TokenKind): Token {
    this.#mode = 'done';
    return this.#token(kind);
  }

  #error(complaint: string): Token {
    this.#mode = 'done';
    return { kind: 'error', text: complaint, start: this.#start, end: this.#cursor.text.length };
  }
}

/** How the next token is read; braces are told by a flag of their own, since comments and strings return to them. */
type Mode = 'statement' | 'duration' | 'done';

interface EscapeForm {
  readonly digits: number;
  readonly alphabet: string;
  readonly codeMax: number;
}

const HEXADECIMAL = '0123456789abcdefABCDEF';
const OCTAL: EscapeForm = { digits: 3, alphabet: '01234567', codeMax: 0xff };
const ESCAPES: Readonly<Record<string, EscapeForm>> = {
  x: { digits: 2, alphabet: HEXADECIMAL, codeMax: 0xff },
  u: { digits: 4, alphabet: HEXADECIMAL, codeMax: 0x10ffff },
  U: { digits: 8, alphabet: HEXADECIMAL, codeMax: 0x10ffff },
};

/** Half a pair is text that UTF-8 cannot hold. */
function isLoneSurrogate(character: string | undefined): boolean {
  return character !== undefined && character >= '\uD800' && character <= '\uDFFF' && character.length === 1;
}
