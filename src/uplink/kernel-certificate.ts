import { KomError } from '../domain/errors.ts';
import type { CertificateFacts } from '../world/certificate.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Connection, Transport } from '../world/transport.ts';
import { turnAway } from './turn-away.ts';

export interface ExpectedKernel {
  readonly site: string;
  /** Host that was dialled; `null` where the Kernel dialled. */
  readonly host: string | null;
  /** For messages: the other side. */
  readonly remote: string;
}

/**
 * Why a certificate is not that of a Kernel of the site, at the address that was dialled; `null` if it is.
 * The role decides, whoever dialled: an agent of the site cannot pass for its Kernel.
 */
export function kernelRefusal(certificate: CertificateFacts, expected: ExpectedKernel): KomError | null {
  const { site, host, remote } = expected;
  const { identities, hosts, subject } = certificate;
  if (!identities.some((identity) => identity.role === 'kernel' && identity.site === site)) {
    return new KomError('KOM_TLS_IDENTITY', remote, {
      expected: `a certificate of a Kernel of site ${site}`,
      got: subject,
    });
  }
  if (host === null || hosts.map(normalHost).includes(normalHost(host))) return null;
  return new KomError('KOM_TLS_IDENTITY', remote, {
    expected: `a certificate for ${host}`,
    got: `${subject} for ${hosts.join(', ') || 'no address'}`,
    hint: 'kom pki init takes the addresses of the Kernels from the site file',
  });
}

/** One spelling of a name or an address. */
function normalHost(host: string): string {
  const text = host.includes(':') ? `[${host}]` : host;
  return URL.canParse(`http://${text}/`) ? new URL(`http://${text}/`).hostname : host.toLowerCase();
}

export interface KernelsOnlyOptions {
  readonly site: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * A transport whose connections with TLS lead to a Kernel of the site and to nobody else, whoever dials.
 * Those without TLS are as they were.
 */
export function kernelsOnly(transport: Transport, { site, clock, log }: KernelsOnlyOptions): Transport {
  return {
    ...transport,
    async connect(address, options) {
      const connection = await transport.connect(address, options);
      if (connection.peerCertificate === null) return connection;
      const { host } = address;
      const { remote, peerCertificate } = connection;
      const refusal = kernelRefusal(peerCertificate, { site, host, remote });
      if (refusal === null) return connection;
      connection.destroy();
      throw refusal;
    },
    listen(address, accept, options) {
      const turned = (remote: string, error: KomError, connection: Connection | null): void => {
        log.warn({ remote, code: error.code, error: error.message }, 'refused: not a Kernel of this site');
        if (connection !== null) turnAway(connection, error, clock);
      };
      const take = (connection: Connection): void => {
        const { remote, peerCertificate } = connection;
        const refusal =
          peerCertificate === null ? null : kernelRefusal(peerCertificate, { site, host: null, remote });
        if (refusal === null) accept(connection);
        else turned(remote, refusal, connection);
      };
      return transport.listen(address, take, {
        refused: ({ remote, error, connection }) => turned(remote, error, connection),
        ...options,
      });
    },
  };
}
