/**
 * Placeholders of templates. In a text `{name}` stands for the value of a parameter and `{name+3}` for
 * arithmetic; `{{` is a brace. An address is arithmetic throughout: `{base}+{n}*2`.
 * Arithmetic knows integers, + - * and parentheses, and is exact.
 */
export type ParameterValues = ReadonlyMap<string, string | number>;

/** Thrown for a placeholder or an arithmetic that makes no sense; the caller adds the place. */
export class ExpressionError extends Error {}

type Token =
  | { readonly kind: 'integer'; readonly value: bigint }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'symbol'; readonly symbol: string };

const TOKEN = /\s*(?:(\d+)|([\p{L}_][\p{L}\p{N}_]*)|([-+*(){}])|(\S))/uy;

/** Replaces the placeholders of a text. @throws ExpressionError */
export function fillText(text: string, values: ParameterValues): string {
  if (!text.includes('{') && !text.includes('}')) return text;
  return text.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (whole, inner: string | undefined) => {
    if (whole === '{{') return '{';
    if (whole === '}}') return '}';
    if (inner === undefined)
      throw new ExpressionError(`a brace without its partner in ${JSON.stringify(text)}`);
    const name = inner.trim();
    if (/^[\p{L}_][\p{L}\p{N}_]*$/u.test(name)) return String(lookUp(name, values));
    return String(evaluateTokens(tokenize(inner), { values, text }));
  });
}

/** The value of an arithmetic expression. @throws ExpressionError, also beyond ±2^53 */
export function evaluateInteger(expression: string, values: ParameterValues): number {
  const result = evaluateTokens(tokenize(expression), { values, text: expression });
  const number = Number(result);
  if (!Number.isSafeInteger(number))
    throw new ExpressionError(`${expression} gives ${result}, which is too large`);
  return number;
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (match === null) break;
    if (match[1] !== undefined) tokens.push({ kind: 'integer', value: BigInt(match[1]) });
    else if (match[2] !== undefined) tokens.push({ kind: 'name', name: match[2] });
    else if (match[3] !== undefined) tokens.push({ kind: 'symbol', symbol: match[3] });
    else {
      throw new ExpressionError(
        `${JSON.stringify(match[4])} is not part of an integer expression (+ - * and parentheses)`,
      );
    }
  }
  return tokens;
}

interface Scope {
  readonly values: ParameterValues;
  /** The whole text, for messages. */
  readonly text: string;
}

/** Recursive descent over: sum = product {(+|-) product}; product = factor {* factor}. */
function evaluateTokens(tokens: readonly Token[], scope: Scope): bigint {
  let position = 0;
  const take = (...symbols: string[]): string | undefined => {
    const token = tokens[position];
    if (token?.kind !== 'symbol' || !symbols.includes(token.symbol)) return undefined;
    position += 1;
    return token.symbol;
  };
  const fail = (): never => {
    throw new ExpressionError(`${JSON.stringify(scope.text)} is not a complete integer expression`);
  };
  const factor = (): bigint => {
    if (take('-') !== undefined) return -factor();
    if (take('(') !== undefined) {
      const value = sum();
      return take(')') === undefined ? fail() : value;
    }
    if (take('{') !== undefined) {
      const value = sum();
      return take('}') === undefined ? fail() : value;
    }
    const token = tokens[position];
    position += 1;
    if (token?.kind === 'integer') return token.value;
    if (token?.kind === 'name') return integerOf(token.name, scope.values);
    return fail();
  };
  const product = (): bigint => {
    let value = factor();
    while (take('*') !== undefined) value *= factor();
    return value;
  };
  const sum = (): bigint => {
    let value = product();
    for (let sign = take('+', '-'); sign !== undefined; sign = take('+', '-')) {
      value = sign === '+' ? value + product() : value - product();
    }
    return value;
  };
  const value = sum();
  return position === tokens.length ? value : fail();
}

function lookUp(name: string, values: ParameterValues): string | number {
  const value = values.get(name);
  if (value !== undefined) return value;
  throw new ExpressionError(`{${name}} is not known here; known are ${[...values.keys()].join(', ')}`);
}

function integerOf(name: string, values: ParameterValues): bigint {
  const value = lookUp(name, values);
  const number = typeof value === 'number' ? value : Number.NaN;
  if (Number.isSafeInteger(number)) return BigInt(number);
  throw new ExpressionError(`{${name}} is ${JSON.stringify(value)}, which is not an integer`);
}
