import type { SequenceRange } from '../domain/coverage.ts';
import { KomError } from '../domain/errors.ts';
import { OPEN_END } from '../domain/gap.ts';
import { INSTANCES_MAX, NAME_CHARACTERS_MAX, RANGES_MAX, TIME_MAX_US } from './limits.ts';

/** Fields of a message by their names in `kernel.proto`, in camel case. */
export type Wire = Readonly<Record<string, unknown>>;

/**
 * Reads fields that may be missing or of any type: the other side wrote them. @throws KomError
 * KOM_FRAME_INVALID
 */
export class WireReader {
  readonly #fields: Wire;

  constructor(fields: Wire) {
    this.#fields = fields;
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined && this.#fields[name] !== null;
  }

  number(name: string): number {
    const value = this.#fields[name] ?? 0;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw invalid(`field ${name} is not a whole number below 2^53`);
    }
    return value;
  }

  /** A sequence number, or 0 for none. `OPEN_END`, an end that nobody knows, is no number. */
  sequence(name: string): number {
    const sequence = this.number(name);
    if (sequence >= OPEN_END) throw invalid(`field ${name} is no sequence number`);
    return sequence;
  }

  /** Integer µs since 1970 that some clock can have shown. */
  timeUs(name: string): number {
    const timeUs = this.number(name);
    if (timeUs > TIME_MAX_US) throw invalid(`field ${name} is a time beyond the year 2199`);
    return timeUs;
  }

  float(name: string): number {
    return Number(this.#fields[name] ?? 0);
  }

  bool(name: string): boolean {
    return this.#fields[name] === true;
  }

  text(name: string): string {
    return String(this.#fields[name] ?? '');
  }

  /** A text of at most so many characters that is no control character; it is never cut off. */
  name(name: string): string {
    const text = this.text(name);
    if (text.length > NAME_CHARACTERS_MAX) {
      throw invalid(`field ${name} is longer than ${NAME_CHARACTERS_MAX} characters`);
    }
    if (/\p{Cc}/u.test(text)) throw invalid(`field ${name} has control characters`);
    return text;
  }

  bytes(name: string): Uint8Array {
    const value = this.#fields[name];
    return value instanceof Uint8Array ? value : new Uint8Array();
  }

  /** A 128-bit identity, or empty where the field may be missing. */
  id(name: string, optional = false): string {
    const bytes = this.bytes(name);
    if (bytes.length !== 16 && !(optional && bytes.length === 0))
      throw invalid(`field ${name} is not 128 bits long`);
    return Buffer.from(bytes).toString('hex');
  }

  /** Number of an instance; 0 where nobody is a meaning, too. */
  instance(name: string): number {
    const instance = this.number(name);
    if (instance > INSTANCES_MAX) throw invalid(`field ${name} is no number of an instance`);
    return instance;
  }

  /** Identities of 128 bits. */
  ids(name: string, max: number): string[] {
    const value = this.#fields[name];
    const items = Array.isArray(value) ? (value as unknown[]) : [];
    if (items.length > max) throw invalid(`field ${name} has more than ${max} entries`);
    return items.map((item) => new WireReader({ [name]: item }).id(name));
  }

  /** Names, as `name` takes them. */
  names(name: string, max: number): string[] {
    const value = this.#fields[name];
    const items = Array.isArray(value) ? (value as unknown[]) : [];
    if (items.length > max) throw invalid(`field ${name} has more than ${max} entries`);
    return items.map((item) => new WireReader({ [name]: item }).name(name));
  }

  message(name: string): WireReader {
    return new WireReader((this.#fields[name] ?? {}) as Wire);
  }

  list(name: string, max: number): WireReader[] {
    const value = this.#fields[name];
    const items = Array.isArray(value) ? (value as Wire[]) : [];
    if (items.length > max) throw invalid(`field ${name} has more than ${max} entries`);
    return items.map((item) => new WireReader(item));
  }

  /** Ranges, ascending and disjoint. */
  ranges(name: string): SequenceRange[] {
    let before = 0;
    return this.list(name, RANGES_MAX).map((range) => {
      const first = range.number('first');
      const last = range.number('last');
      if (first < 1 || last < first) throw invalid(`field ${name} has an empty range`);
      if (first <= before) throw invalid(`field ${name} has ranges out of order`);
      before = last;
      return { first, last };
    });
  }

  choice<T extends string>(name: string, choices: readonly T[]): T {
    const choice = choices[this.number(name)];
    if (choice === undefined) throw invalid(`field ${name} has an unknown value`);
    return choice;
  }
}

export function invalid(what: string): KomError {
  return new KomError('KOM_FRAME_INVALID', what);
}
