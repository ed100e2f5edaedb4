import { isKomError } from '../../src/domain/errors.ts';
import type { FaultSetup } from './faults.ts';
import { type Fault, SITE_FAULTS, type SiteFault } from './options.ts';
import { peerHost } from './site.ts';

/** Half of a site: a comm server, and the Kernels beside it. */
interface House {
  readonly agent: FaultSetup['agents'][number];
  readonly kernels: FaultSetup['kernels'];
}

type Until = (what: string, end: () => void, longShare?: number) => void;

/** How often a site is parted for long: only then somebody forces a Kernel, and both halves decide. */
const LONG_SHARE = 0.7;

/** Faults of two comm servers and several Kernels together, which stand in two houses. */
export class SiteFaults {
  readonly #setup: Pick<FaultSetup, 'network' | 'kernels' | 'agents' | 'random' | 'clock' | 'swarm'>;
  readonly #until: Until;

  constructor(setup: FaultSetup, until: Until) {
    this.#setup = setup;
    this.#until = until;
  }

  make(kind: SiteFault): void {
    const houses = this.#houses();
    if (houses === null) return;
    if (kind === 'site-parted') this.#part(houses);
    else this.#lose(houses[this.#setup.random.below(2)] ?? houses[0]);
  }

  /** A third Kernel stands in either of them. */
  #houses(): readonly [House, House] | null {
    const { agents, kernels, random } = this.#setup;
    const [first, second] = agents;
    const [one, two, third] = kernels;
    if (first === undefined || second === undefined || one === undefined || two === undefined) return null;
    const isInFirst = random.chance(0.5);
    const beside = (isThere: boolean) => (third !== undefined && isThere ? [third] : []);
    return [
      { agent: first, kernels: [one, ...beside(isInFirst)] },
      { agent: second, kernels: [two, ...beside(!isInFirst)] },
    ];
  }

  /** Nothing goes between the houses, and in the one without a hot Kernel an operator may force one. */
  #part([one, other]: readonly [House, House]): void {
    const { network, random, clock, swarm } = this.#setup;
    const hostsOf = ({ agent, kernels }: House) => [agent.name, ...kernels.map(({ host }) => host)];
    const ways = hostsOf(one).flatMap((here) => hostsOf(other).map((there) => [here, there] as const));
    const networks = Array.from({ length: swarm.pair?.networks ?? 0 }, (_, at) => at);
    const all = [...ways, ...networks.map((at) => [peerHost(1, at), peerHost(2, at)] as const)];
    const how = random.chance(0.5) ? 'hang' : 'reset';
    for (const way of all) network.cut(...way, how);
    let isParted = true;
    const heal = (): void => {
      isParted = false;
      for (const way of all) network.heal(...way);
    };
    this.#until('parted site', heal, LONG_SHARE);
    if (random.chance(0.3)) return;
    clock.schedule('operator', 500 + 3000 * random.fraction(), () => {
      const cold = [one, other].find(({ kernels }) => !kernels.some(({ group }) => group?.takesSessions));
      if (isParted) force(cold);
    });
  }

  /** Its power goes. */
  #lose({ agent, kernels }: House): void {
    const [kernel] = kernels;
    agent.cutPower();
    if (kernel?.isRunning) kernel.cutPower();
    this.#until('house without power', () => {
      agent.startWhenStopped();
      if (kernel?.isRunning === false) kernel.start();
    });
  }
}

function force(house: House | undefined): void {
  house?.kernels[0]?.group?.force().catch((error: unknown) => {
    if (!isKomError(error)) throw error;
  });
}

export function isSiteFault(kind: Fault): kind is SiteFault {
  return SITE_FAULTS.some((each) => each === kind);
}
