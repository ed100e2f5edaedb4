/**
 * Holds back what agents send while their sessions go on: to them it is as when the archive takes nothing for
 * a while.
 */
export class LaneGate {
  #held: PromiseWithResolvers<void> | null = null;

  get isClosed(): boolean {
    return this.#held !== null;
  }

  close(): void {
    this.#held ??= Promise.withResolvers<void>();
  }

  open(): void {
    this.#held?.resolve();
    this.#held = null;
  }

  /** When it is open. */
  async passed(): Promise<void> {
    while (this.#held !== null) await this.#held.promise;
  }
}
