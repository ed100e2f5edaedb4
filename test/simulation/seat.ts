import type { LinkRole } from '../../src/drivers/driver.ts';

/** Whether a link is to observe, and since when it stood by. */
export class Seat {
  #role: LinkRole;
  #standbySinceUs: number;
  #isQueued = false;

  constructor(role: LinkRole, nowUs: number) {
    this.#role = role;
    this.#standbySinceUs = nowUs;
  }

  get role(): LinkRole {
    return this.#role;
  }

  change(role: LinkRole, nowUs: number): void {
    if (role === this.#role) return;
    this.#role = role;
    this.#isQueued = role === 'active';
    if (role === 'standby') this.#standbySinceUs = nowUs;
  }

  /** Since when the device kept what is told now; `null`: it is nothing that was kept. */
  takeQueued(): number | null {
    const isQueued = this.#isQueued;
    this.#isQueued = false;
    return isQueued ? this.#standbySinceUs : null;
  }
}
