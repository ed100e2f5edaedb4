import { KomError } from '../../domain/errors.ts';
import type { Audit } from '../../ops/audit.ts';
import type { ControlHandler } from '../../ops/control.ts';
import type { Clock } from '../../world/clock.ts';
import { mintId, type Random } from '../../world/random.ts';
import type { KernelGroup } from './group.ts';

export interface GroupHandlerOptions {
  /** `null`: this Kernel is the only one. */
  readonly group: KernelGroup | null;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly random: Random;
}

/** Method of the Kernel's control socket for operators: `kernel-switch`. Written down, done or refused. */
export function groupHandlers(options: GroupHandlerOptions): Readonly<Record<string, ControlHandler>> {
  return {
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
        await audit.write({ ...entry, outcome: 'refused', text });
        throw error;
      }
    },
  };
}

async function switched(
  group: KernelGroup | null,
  { to, force }: { readonly to: string; readonly force: boolean },
): Promise<string[]> {
  if (group === null) throw new KomError('KOM_USAGE', 'this Kernel is the only one');
  if (!force) {
    await group.handOver(to);
    return [];
  }
  if (to !== group.status.name) {
    throw new KomError('KOM_USAGE', `--force is given at ${to} itself`, { got: group.status.name });
  }
  return await group.force();
}
