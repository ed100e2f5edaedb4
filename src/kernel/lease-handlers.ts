import { KomError } from '../domain/errors.ts';
import type { Audit } from '../ops/audit.ts';
import type { ControlHandler } from '../ops/control.ts';
import { INSTANCES_MAX } from '../uplink/limits.ts';
import type { Clock } from '../world/clock.ts';
import { mintId, type Random } from '../world/random.ts';
import type { CommandDesk } from './commands.ts';
import type { LeaseDesk, ProcessName } from './lease-desk.ts';

export interface LeaseHandlerOptions {
  readonly leases: LeaseDesk;
  readonly commands: CommandDesk;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly random: Random;
}

type Params = Parameters<ControlHandler>[0];

/** So long an instance may take to write down what is preferred. */
const PREFER_TIMEOUT_MS = 15_000;

/** Methods of the Kernel's control socket for operators: `switch` and `prefer`. */
export function leaseHandlers(options: LeaseHandlerOptions): Readonly<Record<string, ControlHandler>> {
  return {
    switch: async function* (params) {
      yield await switched(params, options);
    },
    prefer: (params) => preferred(params, options),
  };
}

/** Written down whether it was done or refused. */
async function switched(params: Params, { leases, audit, clock, random }: LeaseHandlerOptions) {
  const { to, force, operator = '', host = '' } = params;
  if (typeof to !== 'number' || !Number.isInteger(to) || to < 1 || to > INSTANCES_MAX) {
    throw new KomError('KOM_USAGE', 'a switch names the instance that is to be active', {
      expected: '--to 1',
    });
  }
  const name = processOf(params, leases);
  const request = { to, operator: String(operator), force: force === true };
  const entry = {
    ...{ commandId: mintId(random), atUs: clock.wallUs(), operator: request.operator, host: String(host) },
    ...{ process: name.process, name: 'switch', parameters: { to, force: request.force } },
    way: 'kernel' as const,
  };
  try {
    leases.switch(name, request);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    await audit.write({ ...entry, outcome: 'refused', text });
    throw error;
  }
  await audit.write({ ...entry, outcome: 'done', text: `instance ${to} is to be active` });
  return { ...name, ...leases.status(name) };
}

/**
 * Every instance writes it down and says it in its claims; the latest one that somebody said holds. 0: what
 * the site file says.
 */
async function* preferred(params: Params, { leases, commands, clock }: LeaseHandlerOptions) {
  const { instance, operator = '', host = '' } = params;
  if (
    typeof instance !== 'number' ||
    !Number.isInteger(instance) ||
    instance < 0 ||
    instance > INSTANCES_MAX
  ) {
    throw new KomError('KOM_USAGE', 'a preference names an instance, or 0 for none', {
      expected: '--prefer 1',
    });
  }
  const name = processOf(params, leases);
  const parameters = { instance, setAtUs: clock.wallUs() };
  const members = leases.status(name)?.instances ?? [];
  if (members.length === 0) throw new KomError('KOM_USAGE', `no instance of ${name.process} is connected`);
  for (const member of members) {
    const target = { ...name, instance: member.instance };
    const who = { operator: String(operator), host: String(host), timeoutMs: PREFER_TIMEOUT_MS };
    const result = await commands.give({ target, name: 'prefer', parameters, ...who });
    yield { ...result, ...target };
  }
}

function processOf({ site, process }: Params, leases: LeaseDesk): ProcessName {
  if (typeof process !== 'string') {
    throw new KomError('KOM_USAGE', 'a switch names a process', { expected: '--process KomA' });
  }
  if (typeof site === 'string') return { site, process };
  const found = leases.named(process);
  const [name] = found;
  if (name !== undefined && found.length === 1) return name;
  if (name === undefined) throw new KomError('KOM_USAGE', `no instance of ${process} asks for a lease`);
  throw new KomError('KOM_USAGE', `several sites have a process ${process}`, {
    expected: `--site with one of ${found.map((each) => each.site).join(', ')}`,
  });
}
