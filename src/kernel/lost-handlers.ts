import type { Audit } from '../ops/audit.ts';
import type { ControlHandler } from '../ops/control.ts';
import type { Clock } from '../world/clock.ts';
import { mintId, type Random } from '../world/random.ts';
import type { LostValues } from './lost-values.ts';

export interface LostHandlerOptions {
  readonly lostValues: Pick<LostValues, 'acknowledge'>;
  readonly audit?: Audit;
  readonly clock: Clock;
  readonly random: Random;
}

/** Method of the Kernel's control socket: a person has seen what the archive lacks, which is written down. */
export function lostHandlers(options: LostHandlerOptions): Readonly<Record<string, ControlHandler>> {
  return {
    'kernel-acknowledge': async function* ({ operator, host }) {
      const { lostValues, audit, clock, random } = options;
      const values = lostValues.acknowledge();
      await audit?.write({
        ...{ commandId: mintId(random), atUs: clock.wallUs(), way: 'kernel', process: '' },
        ...{ operator: String(operator ?? ''), host: String(host ?? '') },
        ...{ name: 'kernel-acknowledge', parameters: {}, outcome: 'done' },
        text: `${values} values that the archive lacks`,
      });
      yield { values };
    },
  };
}
