import type { LineFailover, PeerAddress, RedundancySettings, StandbyMode } from './model.ts';
import type { JsonPath, ProblemList } from './problems.ts';
import type { ProcessInput, ServerInput, SiteInput } from './schema.ts';
import type { LineInput } from './schema-line.ts';
import { milliseconds, parseAddress } from './schema-parts.ts';
import { PEER_PORT } from './schema-redundancy.ts';
import { checkLink } from './tls.ts';

/** A member of a pair: the link between instances is made for two. */
const MEMBERS_MAX = 2;
/** Silence must be longer than so many heartbeats. */
const HEARTBEATS_MIN = 3;

interface Scope {
  readonly input: SiteInput;
  readonly problems: ProblemList;
  readonly warnings: ProblemList;
}

/** What becomes of a line where two instances could have it. */
export function makeFailover(input: LineInput, path: JsonPath, problems: ProblemList): LineFailover {
  const { exclusive: isExclusive, onIsolation } = input;
  const isDouble = input.driver === 'modbus-tcp' && input.doublePolling;
  const standby = input.standby ?? defaultStandby(input, isDouble);
  if (isExclusive && standby !== 'cold') {
    const got = `${JSON.stringify(standby)} on an exclusive line`;
    problems.add([...path, 'standby'], 'the line takes one client', { expected: '"cold"', got });
  } else if (standby === 'hot' && !isDouble) {
    problems.add([...path, 'standby'], 'the devices would be polled by two instances', {
      expected: '"doublePolling": true, if they can bear it',
      got: '"hot"',
    });
  }
  if (isExclusive && isDouble) {
    problems.add([...path, 'doublePolling'], 'the line takes one client', { got: 'an exclusive line' });
  }
  if (onIsolation !== undefined && !isExclusive) {
    problems.add([...path, 'onIsolation'], 'only an exclusive line is released', {
      expected: '"exclusive": true',
    });
  }
  return { standby, isExclusive, onIsolation: onIsolation ?? 'release', isTested: input.fitness };
}

function defaultStandby(input: LineInput, isDouble: boolean): StandbyMode {
  if (input.exclusive) return 'cold';
  if (input.driver === 'opcua') return 'warm';
  return isDouble ? 'hot' : 'cold';
}

/** Where the other comm servers reach one of them. */
export function makePeers(
  name: string,
  server: ServerInput,
  { input, problems, warnings }: Scope,
): PeerAddress[] {
  return (server.peer ?? []).flatMap((entry, position) => {
    const at = ['servers', name, 'peer', position];
    const given = typeof entry === 'string' ? { address: entry } : entry;
    const address = parseAddress(given.address, PEER_PORT);
    const listen = parseAddress(given.listen ?? given.address, PEER_PORT);
    if (address === null || listen === null) return [];
    const insecure = given.insecure ?? input.peer.insecure;
    const link = { address: given.address, host: address.host, insecure, hasTls: input.tls !== undefined };
    checkLink(link, at, { problems, warnings });
    return [{ address, listen, insecure }];
  });
}

/** How the instances of a process share the work. */
export function makeRedundancy(name: string, process: ProcessInput, scope: Scope): RedundancySettings {
  const { input, problems } = scope;
  const { peer } = input;
  const path = ['processes', name];
  const timeout = peer.timeout ?? (process.buffer.profile === 'small' ? '3s' : '1s');
  const settings: RedundancySettings = {
    preferredInstance: process.preferredInstance ?? 0,
    preferHoldOffMs: milliseconds(process.preferHoldOff),
    peerTimeoutMs: milliseconds(timeout),
    peerHeartbeatMs: milliseconds(peer.heartbeat),
    fitnessIntervalMs: milliseconds(process.fitness.interval),
    fitnessMaxAgeMs: milliseconds(process.fitness.maxAge),
    isMirrored: process.mirror,
  };
  if (settings.peerTimeoutMs < HEARTBEATS_MIN * settings.peerHeartbeatMs) {
    problems.add(['peer', 'timeout'], 'a late heartbeat or two would count as the death of the peer', {
      expected: `at least three times the heartbeat of ${peer.heartbeat}`,
      got: timeout,
    });
  }
  if (settings.fitnessMaxAgeMs < settings.fitnessIntervalMs) {
    problems.add([...path, 'fitness', 'maxAge'], 'every proof would be too old before the next one', {
      expected: `at least the interval of ${process.fitness.interval}`,
      got: process.fitness.maxAge,
    });
  }
  checkPreferred(name, process, scope);
  checkMembers(name, process, scope);
  return settings;
}

function serversOf({ servers }: ProcessInput, input: SiteInput): string[] {
  return (servers ?? Object.keys(input.servers)).filter((name) => Object.hasOwn(input.servers, name));
}

function checkPreferred(name: string, process: ProcessInput, { input, problems }: Scope): void {
  const { preferredInstance } = process;
  if (preferredInstance === undefined) return;
  const members = serversOf(process, input).map((server) => ({
    server,
    instance: input.servers[server]?.instance ?? 0,
  }));
  if (members.length === 0 || members.some(({ instance }) => instance === preferredInstance)) return;
  problems.add(['processes', name, 'preferredInstance'], 'no server of the process runs this instance', {
    expected: members.map(({ server, instance }) => `${instance} (${server})`).join(' or '),
    got: String(preferredInstance),
  });
}

function checkMembers(name: string, process: ProcessInput, { input, problems, warnings }: Scope): void {
  const members = serversOf(process, input);
  if (members.length < 2) return;
  const linked = members.filter((server) => input.servers[server]?.peer !== undefined);
  if (linked.length === 0) {
    warnings.add(
      ['processes', name],
      'two servers run it and none has a peer address: without a Kernel no standby takes over, ' +
        'and instances that start without one are all active',
      { hint: 'give each server "peer": ["address"], one for each network between them' },
    );
    return;
  }
  for (const server of members.filter((each) => !linked.includes(each))) {
    problems.add(['servers', server, 'peer'], 'missing', {
      expected: `addresses at which ${linked.join(', ')} reaches it, as it has such itself`,
    });
  }
  if (members.length > MEMBERS_MAX) {
    problems.add(['processes', name, 'servers'], 'a peer link is between two servers', {
      expected: 'two of them, or servers without "peer"',
      got: members.join(', '),
    });
    return;
  }
  const counts = new Set(linked.map((server) => input.servers[server]?.peer?.length));
  if (counts.size > 1) {
    warnings.add(['processes', name], `${linked.join(' and ')} have not as many peer addresses`, {
      hint: 'the server with the lower instance is dialled on each of its addresses, and on no other',
    });
  }
}

/** A place can be listened on once, and an address leads to one server. */
export function checkPeerAddresses(
  servers: readonly { readonly name: string; readonly peers: readonly PeerAddress[] }[],
  problems: ProblemList,
): void {
  const dialled = new Map<string, string>();
  for (const { name, peers } of servers) {
    const listened = new Set<string>();
    for (const [position, { address, listen }] of peers.entries()) {
      const at = ['servers', name, 'peer', position];
      const place = `${address.host} ${address.port}`;
      const other = dialled.get(place);
      dialled.set(place, name);
      if (other !== undefined) {
        problems.add(at, `${other === name ? 'it' : `server ${other}`} has the same address already`, {
          expected: 'an address of its own for each server and network',
          got: place.replace(' ', ':'),
        });
      }
      const own = `${listen.host} ${listen.port}`;
      if (listened.has(own) && other === undefined) {
        problems.add([...at, 'listen'], 'the server listens there already', { got: own.replace(' ', ':') });
      }
      listened.add(own);
    }
  }
}
