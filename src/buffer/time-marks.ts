/** Marks at most; then two and two become one. */
const MARKS_MAX = 512;

interface Mark {
  /** Of blocks from this sequence on, up to the next mark. */
  readonly first: number;
  fromUs: number;
}

interface Marked {
  readonly firstSequence: number;
  readonly count: number;
  readonly fromUs: number;
}

/**
 * From which time what the running stream has behind a sequence is: a segment knows only how old the oldest
 * is that it has, acknowledged or not. Exact for as many blocks as there are marks, and for more of them
 * early by a two hundredth part at most, never late.
 */
export class TimeMarks {
  #marks: Mark[] = [];
  /** Blocks of each mark; the last one may have fewer. */
  #stride = 1;
  #inLast = 0;
  #last = 0;

  /** A block, in the order of the stream. */
  note({ firstSequence: first, count, fromUs }: Marked): void {
    this.#last = first + count - 1;
    const newest = this.#marks.at(-1);
    if (newest !== undefined && this.#inLast < this.#stride) {
      newest.fromUs = Math.min(newest.fromUs, fromUs);
      this.#inLast += 1;
      return;
    }
    this.#marks.push({ first, fromUs });
    this.#inLast = 1;
    if (this.#marks.length > MARKS_MAX) this.#thin();
  }

  /** Nobody asks any more for anything up to this sequence. */
  dropThrough(sequence: number): void {
    if (sequence >= this.#last) {
      this.#marks = [];
      this.#stride = 1;
      return;
    }
    const at = this.#indexOf(sequence + 1);
    if (at > 0) this.#marks.splice(0, at);
  }

  /** Oldest time of what came from this sequence on; `null`: nothing. */
  oldestFrom(sequence: number): number | null {
    const marks = this.#marks.slice(Math.max(0, this.#indexOf(sequence)));
    return marks.length === 0 ? null : Math.min(...marks.map(({ fromUs }) => fromUs));
  }

  /** Of the mark whose blocks have a sequence; -1: it is before all of them. */
  #indexOf(sequence: number): number {
    return this.#marks.findLastIndex(({ first }) => first <= sequence);
  }

  #thin(): void {
    const marks = this.#marks;
    this.#marks = marks.flatMap(({ first, fromUs }, at) => {
      if (at % 2 !== 0) return [];
      return { first, fromUs: Math.min(fromUs, marks[at + 1]?.fromUs ?? fromUs) };
    });
    // An odd number of them: the last one stayed alone.
    this.#inLast = marks.length % 2 === 0 ? 2 * this.#stride : this.#inLast;
    this.#stride *= 2;
  }
}
