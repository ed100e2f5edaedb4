import { isKomError, KomError } from '../../domain/errors.ts';
import type { Audit } from '../../ops/audit.ts';
import type { ControlHandler } from '../../ops/control.ts';
import type { Clock } from '../../world/clock.ts';
import { mintId, type Random } from '../../world/random.ts';
import type { Switchable } from '../kernel-role.ts';

export interface GroupHandlerOptions {
  /** `null`: this Kernel is the only one. */
  readonly group: Switchable | null;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Methods of the Kernel's control socket for operators: `kernel-switch`, which is written down, done or
 * refused, and `kernel-switch-cancel` while it has not answered yet.
 */
export function groupHandlers(options: GroupHandlerOptions): Readonly<Record<string, ControlHandler>> {
  return {
    'kernel-switch-cancel': async function* () {
      yield { isCancelled: options.group?.cancel() ?? false };
    },
    'kernel-switch': async function* ({ to, force, operator, host }) {
      const { group, audit, clock, random } = options;
      if (typeof to !== 'string')
        throw new KomError('KOM_USAGE', 'who is to be hot?', { expected: '--to NAME' });
      const parameters = { to, force: force === true };
      const entry = {
        ...{ commandId: mintId(random), atUs: clock.wallUs() },
        ...{ operator: String(operator ?? ''), host: String(host ?? '') },
        ...{ process: '', name: 'kernel-switch', parameters, way: 'kernel' as const },
      };
      try {
        const lacks = await switched(group, parameters);
        await audit.write({ ...entry, outcome: 'done', text: [`${to} is to be hot`, ...lacks].join('; ') });
        yield { to, lacks };
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        const isDone = isKomError(error, 'KOM_SWITCH_UNCONFIRMED');
        const outcome = isDone ? 'done, not confirmed' : 'refused';
        await audit.write({ ...entry, outcome, text });
        throw error;
      }
    },
  };
}

async function switched(
  group: Switchable | null,
  { to, force }: { readonly to: string; readonly force: boolean },
): Promise<string[]> {
  if (group === null) throw new KomError('KOM_USAGE', 'this Kernel is the only one');
  if (force && to === group.status.name) return await group.force();
  await group.handOver(to, force);
  return [];
}
