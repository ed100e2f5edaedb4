import type { Proof } from '../../src/sim/proof.ts';
import { noNamespaces } from '../integration/support/namespaces.ts';
import { until } from '../integration/support/until.ts';
import { NO_POSTGRES } from '../postgres/server.ts';
import type { Figure } from './figure.ts';
import { combination } from './figures/combination.ts';
import { databaseCluster } from './figures/database-cluster.ts';
import { databaseServer } from './figures/database-server.ts';
import { dmz } from './figures/dmz.ts';
import { primaryAndReplica } from './figures/primary-and-replica.ts';
import { redundantCommServers } from './figures/redundant-comm-servers.ts';
import { singleNode } from './figures/single-node.ts';
import { technologyNetwork } from './figures/technology-network.ts';
import { threeNodes } from './figures/three-nodes.ts';
import { twoNodes } from './figures/two-nodes.ts';
import { LoopbackNetwork, NamespaceNetwork, type Network } from './network.ts';
import { Stage } from './stage.ts';

export const FIGURES: readonly Figure[] = [
  singleNode,
  twoNodes,
  threeNodes,
  dmz,
  technologyNetwork,
  redundantCommServers,
  databaseServer,
  databaseCluster,
  primaryAndReplica,
  combination,
];

/** What became of a figure. */
export interface Outcome {
  readonly number: number;
  readonly title: string;
  readonly place: 'namespaces' | 'loopback';
  /** What went wrong in it, on purpose. */
  readonly happened: string;
  /** By name of Kernel. */
  readonly proofs: Readonly<Record<string, Proof>>;
  readonly holds: boolean;
}

/** An archive that is completed a moment later is complete. */
const PROOF_TRIES_MS = 20_000;

/** Why a figure cannot run here; `null`: it can. */
export function reasonAgainst({ needsDatabase }: Figure): string | null {
  return needsDatabase === true ? NO_POSTGRES : null;
}

/** Runs a figure, in namespaces where the machine allows it. @throws if its story does not go as it must */
export async function runFigure(figure: Figure, place = defaultPlace()): Promise<Outcome> {
  const missing = reasonAgainst(figure);
  if (missing !== null) throw new Error(missing);
  using network: Network =
    place === 'namespaces'
      ? new NamespaceNetwork(figure.network, `f${figure.number}`)
      : new LoopbackNetwork();
  await using stage = await Stage.make(figure, network);
  const happened = await figure.story(stage);
  const proofs: Record<string, Proof> = {};
  for (const kernel of figure.complete) {
    await until(
      `the archive of ${kernel}`,
      async () => {
        proofs[kernel] = await stage.prove(kernel);
        return proofs[kernel].ok;
      },
      PROOF_TRIES_MS,
    ).catch(() => undefined);
  }
  const { number, title } = figure;
  const holds = Object.values(proofs).every(({ ok }) => ok);
  return { number, title, place, happened, proofs, holds };
}

export function defaultPlace(): Outcome['place'] {
  return noNamespaces() === null ? 'namespaces' : 'loopback';
}
