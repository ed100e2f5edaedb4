import { resolve } from 'node:path';
import { z } from 'zod';
import type { TlsFiles } from '../world/tls-files.ts';
import type { JsonPath, ProblemList } from './problems.ts';
import { isLoopback, strict } from './schema-parts.ts';

const path = (description: string) => z.string().min(1).optional().describe(description);

const files = {
  ca: path('Certificates of the authorities that are trusted. Without it: ca.pem in the directory.'),
  certificate: path('The own certificate. Without it: certificate.pem in the directory.'),
  key: path('Its key, readable only for the owner. Without it: key.pem in the directory.'),
  crl: path('Revoked certificates. Without it: crl.pem in the directory, if it is there.'),
};

/** `tls` of a site file. */
export const siteTlsSchema = strict({
  directory: z
    .string()
    .min(1)
    .default('./tls')
    .describe('Certificates, in a folder by name of server; relative to this file.'),
}).optional();

/** `tls` of a server in a site file. */
export const serverTlsSchema = strict(files).optional();

/** `tls` of a Kernel file. */
export const kernelTlsSchema = strict({
  directory: z.string().min(1).default('./tls/kernel').describe('Certificates, relative to this file.'),
  ...files,
}).optional();

type NamedFiles = { readonly [name in keyof typeof files]?: string | undefined };

/** Absolute paths; `base` is where the configuration file lies. */
export function makeTlsFiles(base: string, directory: string, named: NamedFiles = {}): TlsFiles {
  const place = (name: keyof typeof files): string =>
    resolve(base, named[name] ?? resolve(base, directory, `${name}.pem`));
  return {
    ...{ ca: place('ca'), certificate: place('certificate'), key: place('key'), crl: place('crl') },
    isCrlOptional: named.crl === undefined,
  };
}

export interface CheckedLink {
  /** As the file writes it. */
  readonly address: string;
  readonly host: string;
  readonly insecure: boolean;
  /** The file has certificates. */
  readonly hasTls: boolean;
}

/** A link that others can read needs the word of whoever wrote the file. */
export function checkLink(
  { address, host, insecure, hasTls }: CheckedLink,
  at: JsonPath,
  { problems, warnings }: { readonly problems: ProblemList; readonly warnings: ProblemList },
): void {
  if (isLoopback(host)) return;
  const text = `${address} can be reached by other machines`;
  if (insecure) {
    warnings.add(at, `${text} and is without TLS: anybody on the way can read and change values`);
  } else if (!hasTls) {
    problems.add(at, `${text} and the file has no "tls" section`, {
      expected: '"tls": {} with certificates, or "insecure": true on a network that you trust',
      hint: 'kom pki init site.json makes the certificates of a site',
    });
  }
}
