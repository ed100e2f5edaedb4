import type { CommandName } from '../../src/domain/commands.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import type { AgentHost } from './agent-host.ts';
import type { FaultSetup } from './faults.ts';
import { COMMAND_FAULTS, type CommandFault, type Fault, type Swarm } from './options.ts';
import { PROCESS, SITE } from './site.ts';

/** Of the seeds so many have each of the commands. */
const SHARE = 0.25;
const ANSWER_MAX_MS = 10_000;

interface Wanted {
  readonly name: CommandName;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** All that a ring holds, whenever it was observed. */
const ALL = { fromUs: 0 };
const WANTED: Readonly<Record<CommandFault, Wanted>> = {
  'backlog-dropped': { name: 'drop-backlog', parameters: {} },
  'backlog-replayed': { name: 'replay', parameters: ALL },
  'archive-repaired': { name: 'replay', parameters: { ...ALL, repair: true } },
};

/** Drawn from a source of its own. */
export function withCommands(swarm: Swarm, random: SimulatedRandom, allowed: readonly Fault[]): Swarm {
  if (swarm.faults.size === 0) return swarm;
  const own = COMMAND_FAULTS.filter((fault) => allowed.includes(fault) && random.chance(SHARE));
  return { ...swarm, faults: new Set([...swarm.faults, ...own]) };
}

/** An operator gives it at the Kernel that is hot, and does something else if it is refused. */
export function giveCommand(
  kind: CommandFault,
  { instance }: AgentHost,
  { kernels, history }: Pick<FaultSetup, 'kernels' | 'history'>,
): void {
  const hot = kernels.find(({ takesSessions }) => takesSessions);
  const target = { site: SITE, process: PROCESS, instance };
  const request = { target, timeoutMs: ANSWER_MAX_MS, operator: 'operator', host: 'console' };
  hot?.server?.commands.give({ ...request, ...WANTED[kind] }).then(
    ({ outcome, text }) => history.note(`${kind}: ${outcome}, ${text}`),
    (error: unknown) => history.note(`${kind}: ${String(error)}`),
  );
}

export function isCommandFault(kind: Fault): kind is CommandFault {
  return COMMAND_FAULTS.some((each) => each === kind);
}
