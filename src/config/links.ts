import type { FileContext } from './files.ts';
import type { DialledAgent } from './model/kernel.ts';
import type { KernelAddress, Server, UplinkListen, UplinkSettings } from './model.ts';
import { type JsonPath, type ProblemList, suggestion } from './problems.ts';
import type { KernelInput, ProcessInput, SiteInput } from './schema.ts';
import { isLoopback, milliseconds, parseAddress, parseByteRate } from './schema-parts.ts';
import { checkLink } from './tls.ts';

/** Where problems and warnings of links go. */
/** Where mistakes and doubts about links go. */
export interface LinkScope {
  readonly problems: ProblemList;
  readonly warnings: ProblemList;
}

/** Addresses of Kernels; a process that listens needs none. */
export function makeKernels(
  input: SiteInput,
  { context: { problems }, warnings }: { readonly context: FileContext; readonly warnings: ProblemList },
): KernelAddress[] {
  const isDialled = Object.values(input.processes).every(({ uplink }) => uplink.listen !== undefined);
  if (input.kernels.length === 0 && !isDialled) {
    warnings.add(['kernels'], 'no Kernel: everything goes to the ring until it is full');
    if (input.clock === 'kernel')
      warnings.add(['clock'], 'no Kernel tells the time: every time is uncertain');
  }
  return input.kernels.flatMap((kernel, position) => {
    const address = parseAddress(kernel.address, 3119);
    if (address === null) return [];
    const path = ['kernels', position];
    const hasTls = input.tls !== undefined;
    checkLink({ ...kernel, host: address.host, hasTls }, path, { problems, warnings });
    checkServerNames(kernel.localAddress, [...path, 'localAddress'], { input, problems });
    return [{ ...address, insecure: kernel.insecure, localAddresses: kernel.localAddress }];
  });
}

function checkServerNames(
  byServer: Readonly<Record<string, string>>,
  path: JsonPath,
  { input, problems }: { readonly input: SiteInput; readonly problems: ProblemList },
): void {
  const known = Object.keys(input.servers);
  for (const name of Object.keys(byServer)) {
    if (known.includes(name)) continue;
    problems.add([...path, name], `no server is called ${JSON.stringify(name)}`, {
      hint: suggestion(name, known),
    });
  }
}

const PACES = {
  wired: {
    heartbeat: '400ms',
    silenceMax: '1200ms',
    connectTimeout: '5s',
    leaseRenew: '300ms',
    lease: '1200ms',
  },
  radio: { heartbeat: '2s', silenceMax: '10s', connectTimeout: '20s', leaseRenew: '2s', lease: '10s' },
} as const;

/** How a process talks to its Kernel. */
export function makeUplink(
  process: string,
  { uplink }: ProcessInput,
  scope: LinkScope & { readonly input: SiteInput },
): UplinkSettings {
  const path = ['processes', process, 'uplink'];
  const { problems } = scope;
  const pace = PACES[uplink.link];
  const heartbeat = uplink.heartbeat ?? pace.heartbeat;
  const silenceMax = uplink.silenceMax ?? pace.silenceMax;
  const settings = {
    heartbeatMs: milliseconds(heartbeat),
    silenceMaxMs: milliseconds(silenceMax),
    connectTimeoutMs: milliseconds(uplink.connectTimeout ?? pace.connectTimeout),
    reconnectDelayMinMs: milliseconds(uplink.reconnectDelayMin),
    reconnectDelayMaxMs: milliseconds(uplink.reconnectDelayMax),
    stableAfterMs: milliseconds(uplink.stableAfter),
    holdMaxMs: milliseconds(uplink.holdMax),
    probeIntervalMs: milliseconds(uplink.probeInterval),
    returnAfterMs: milliseconds(uplink.returnAfter),
    minBytesPerS: parseByteRate(uplink.minRate) ?? 0,
    maxBytesPerS:
      uplink.maxRate === undefined
        ? Number.POSITIVE_INFINITY
        : (parseByteRate(uplink.maxRate) ?? Number.POSITIVE_INFINITY),
    liveIntervalMs: milliseconds(uplink.liveInterval),
    leaseRenewMs: milliseconds(uplink.leaseRenew ?? pace.leaseRenew),
    leaseMs: milliseconds(uplink.lease ?? pace.lease),
  };
  if (settings.silenceMaxMs < 2 * settings.heartbeatMs) {
    problems.add([...path, 'silenceMax'], 'one late heartbeat would count as an outage', {
      expected: `at least twice the heartbeat of ${heartbeat}`,
      got: silenceMax,
    });
  }
  if (settings.leaseMs < 3 * settings.leaseRenewMs) {
    problems.add([...path, 'lease'], 'two late renewals would cost the lease', {
      expected: `at least three times leaseRenew of ${uplink.leaseRenew ?? pace.leaseRenew}`,
      got: uplink.lease ?? pace.lease,
    });
  }
  if (settings.reconnectDelayMaxMs < settings.reconnectDelayMinMs) {
    problems.add([...path, 'reconnectDelayMax'], 'shorter than reconnectDelayMin');
  }
  if (settings.minBytesPerS > settings.maxBytesPerS) {
    problems.add([...path, 'minRate'], 'more than maxRate', { got: uplink.minRate });
  }
  const listen = makeListen(uplink.listen, [...path, 'listen'], scope);
  return listen === null ? settings : { ...settings, listen };
}

function makeListen(
  listen: ProcessInput['uplink']['listen'],
  path: JsonPath,
  { input, problems, warnings }: LinkScope & { readonly input: SiteInput },
): UplinkListen | null {
  if (listen === undefined) return null;
  checkServerNames(listen.servers, [...path, 'servers'], { input, problems });
  const address = parseAddress(listen.address, 3119);
  if (address === null) return null;
  const serverAddresses = Object.fromEntries(
    Object.entries(listen.servers).flatMap(([name, text]) => {
      const own = parseAddress(text, 3119);
      return own === null ? [] : [[name, own] as const];
    }),
  );
  const { insecure, allowFrom } = listen;
  const open = [address, ...Object.values(serverAddresses)].find(({ host }) => !isLoopback(host));
  const hasTls = input.tls !== undefined;
  checkLink({ ...listen, host: open?.host ?? address.host, hasTls }, path, { problems, warnings });
  if (open !== undefined && allowFrom.length === 0 && (insecure || !hasTls)) {
    warnings.add([...path, 'allowFrom'], 'anybody who reaches this address may connect as the Kernel');
  }
  return { address, serverAddresses, allowFrom, insecure };
}

/** Nothing that one server listens on has the port of something else. */
export function checkListeners(
  processes: readonly {
    readonly name: string;
    readonly servers: readonly string[];
    readonly uplink: UplinkSettings;
  }[],
  servers: readonly Pick<Server, 'name' | 'peers'>[],
  problems: ProblemList,
): void {
  const taken = new Map<string, string>();
  for (const { name, peers } of servers) {
    for (const { listen } of peers) taken.set(`${name} ${listen.port}`, 'the peer link');
  }
  for (const { name, servers: own, uplink } of processes) {
    for (const server of own) {
      const address = uplink.listen?.serverAddresses[server] ?? uplink.listen?.address;
      if (address === undefined) continue;
      const place = `${server} ${address.port}`;
      const other = taken.get(place);
      taken.set(place, `process ${name}`);
      if (other === undefined) continue;
      problems.add(['processes', name, 'uplink', 'listen'], `${other} listens there on ${server}, too`, {
        expected: 'a port of its own for each process of a server',
        got: String(address.port),
      });
    }
  }
}

/** Agents that a Kernel dials. */
export function makeDialledAgents(input: KernelInput, scope: LinkScope): DialledAgent[] {
  return input.agents.map((agent, position) => {
    const path = ['agents', position];
    const addresses = agent.addresses.flatMap((text, at) => {
      const address = parseAddress(text, 3119);
      if (address === null) return [];
      const hasTls = input.tls !== undefined;
      const link = { ...agent, address: text, host: address.host, hasTls };
      checkLink(link, [...path, 'addresses', at], scope);
      return [address];
    });
    const { site, process, instance, localAddress, insecure } = agent;
    return {
      ...{ site, process, addresses, insecure },
      retryMs: milliseconds(agent.retry),
      connectTimeoutMs: milliseconds(agent.connectTimeout),
      ...(instance === undefined ? {} : { instance }),
      ...(localAddress === undefined ? {} : { localAddress }),
    };
  });
}
