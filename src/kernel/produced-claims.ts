import type { Observed } from '../domain/observed.ts';

/** At `untilUs` everything of the stream up to `producedTo` had been observed; not yet covered. */
export interface ProducedClaim extends Observed {
  readonly producedTo: number;
}

/** Beyond so many claims the older half is dropped: the streams then count as observed a little less far. */
const CLAIMS_MAX = 10_000;

/** What sessions said of how far the streams of a process were given, as far as the archive lacks it. */
export class ProducedClaims {
  #claims: ProducedClaim[] = [];

  /** The newest claim of one number says the most; so there are as many as steps that are not archived. */
  note(claim: ProducedClaim): void {
    const last = this.#claims.findLastIndex(({ streamId }) => streamId === claim.streamId);
    if (this.#claims[last]?.producedTo === claim.producedTo) this.#claims.splice(last, 1);
    this.#claims.push(claim);
    if (this.#claims.length > CLAIMS_MAX) this.#claims.splice(0, CLAIMS_MAX / 2);
  }

  /** As `note`, of a stream of which nothing that says as much is known. */
  noteAtLeast(claim: ProducedClaim): void {
    const { streamId, producedTo, untilUs } = claim;
    const own = this.#claims.filter((each) => each.streamId === streamId);
    if (own.some((each) => each.producedTo >= producedTo && each.untilUs >= untilUs)) return;
    this.note(claim);
  }

  /** The archive has everything of a stream up to a number. Removes the claims that it reaches, in order. */
  takeReached(streamId: string, through: number): ProducedClaim[] {
    const reached = this.#claims.filter(
      (claim) => claim.streamId === streamId && claim.producedTo <= through,
    );
    if (reached.length > 0) this.#claims = this.#claims.filter((claim) => !reached.includes(claim));
    return reached;
  }

  /** The highest number of a stream that was said to have been given; 0: none that the archive lacks. */
  through(streamId: string): number {
    const own = this.#claims.filter((claim) => claim.streamId === streamId);
    return own.reduce((highest, { producedTo }) => Math.max(highest, producedTo), 0);
  }
}
