import type { Site } from '../config/model.ts';
import { KomError } from '../domain/errors.ts';
import type { CertificateIdentity } from '../domain/identity.ts';
import type { NamedKernel } from './named-kernel.ts';

/** A machine that needs a certificate. */
export interface MachinePlan {
  /** Name of its folder. */
  readonly name: string;
  readonly role: CertificateIdentity['role'];
  readonly identities: readonly CertificateIdentity[];
  /** Names and addresses that others dial it by. */
  readonly hosts: readonly string[];
}

/** Folders of Kernels have a dot, which no name of a comm server can have. */
const KERNEL_PREFIX = 'kernel.';

/**
 * The machines of a site: each comm server with the instances that it runs, and each Kernel. Addresses that
 * no Kernel of `named` has are Kernels of their own.
 * @throws KomError KOM_USAGE where such an address is the name of another one of them
 */
export function planMachines(site: Site, named: readonly NamedKernel[]): MachinePlan[] {
  const servers = site.servers.map((server): MachinePlan => {
    const run = site.processes.filter(({ servers: names }) => names.includes(server.name));
    const listening = run.flatMap(({ uplink }) =>
      uplink.listen === undefined
        ? []
        : [(uplink.listen.serverAddresses[server.name] ?? uplink.listen.address).host],
    );
    const peers = server.peers.flatMap(({ address, listen, insecure }) =>
      insecure ? [] : [address.host, listen.host],
    );
    return {
      name: server.name,
      role: 'agent',
      identities: run.map(({ name: process }) => {
        return { role: 'agent', site: site.name, process, instance: server.instance };
      }),
      hosts: unique([...listening, ...peers].filter((host) => !isAnyAddress(host))),
    };
  });
  const taken = new Set(named.flatMap(({ hosts }) => hosts));
  const rest = unique(site.kernels.filter(({ insecure }) => !insecure).map(({ host }) => host))
    .filter((host) => !taken.has(host))
    .map((host): NamedKernel => ({ name: host.replaceAll(':', '-'), hosts: [host] }));
  for (const { name, hosts } of rest) {
    const other = named.find((each) => each.name === name);
    if (other === undefined) continue;
    throw new KomError('KOM_USAGE', `the site file names a Kernel at ${hosts}, and so does --kernel`, {
      expected: `--kernel ${name}=${[...other.hosts, ...hosts]}, or another name`,
    });
  }
  const kernels = [...named, ...rest].map(({ name, hosts }): MachinePlan => {
    const identity: CertificateIdentity = { role: 'kernel', site: site.name, name };
    return { name: `${KERNEL_PREFIX}${name}`, role: 'kernel', identities: [identity], hosts };
  });
  return [...servers, ...kernels];
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}

function isAnyAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
