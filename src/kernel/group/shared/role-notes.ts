import { describeError } from '../../../domain/errors.ts';
import type { Audit } from '../../../ops/audit.ts';
import type { Clock } from '../../../world/clock.ts';
import type { Log } from '../../../world/log.ts';
import { mintId, type Random } from '../../../world/random.ts';
import type { RoleView } from '../../../world/shared-archive.ts';

export interface RoleNotesOptions {
  /** Of this Kernel. */
  readonly name: string;
  readonly audit: Pick<Audit, 'write'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Changes of the role of a Kernel that shares its archive, in its audit: nobody may have asked for them. */
export class RoleNotes {
  readonly #options: RoleNotesOptions;

  constructor(options: RoleNotesOptions) {
    this.#options = options;
  }

  /** `before`: as it was when it reached for the lock. */
  becameHot(epoch: number, before: Pick<RoleView, 'hot' | 'next'>): void {
    const { name } = this.#options;
    const how = before.next === name ? 'as an operator said' : 'by itself';
    const former = before.hot === '' ? 'nobody was before' : `${before.hot} was before`;
    this.#write('kernel-hot', { epoch }, `${name} is hot, ${how}; ${former}`);
  }

  becameStandby(epoch: number, why: string): void {
    this.#write('kernel-standby', { epoch }, why);
  }

  #write(what: string, parameters: Readonly<Record<string, unknown>>, text: string): void {
    const { audit, clock, random, log } = this.#options;
    const entry = {
      ...{ commandId: mintId(random), atUs: clock.wallUs(), way: 'kernel' as const },
      ...{ operator: '', host: '', process: '', name: what, parameters, outcome: 'done', text },
    };
    audit.write(entry).catch((error: unknown) => {
      log.error({ name: what, error: describeError(error) }, 'the audit took no entry');
    });
  }
}
