import { KomError } from '../domain/errors.ts';

/** A Kernel that is reached by several addresses, or that no address of the site file leads to. */
export interface NamedKernel {
  readonly name: string;
  /** Names and addresses that others dial it by, at least one. */
  readonly hosts: readonly string[];
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,50}$/;
/** A DNS name or an IPv4 address; an IPv6 address. */
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)$/;

/** Kernels as a command line names them, with one more: `NAME=HOST,HOST`. @throws KomError KOM_USAGE */
export function addNamedKernel(text: string, before: readonly NamedKernel[]): readonly NamedKernel[] {
  const at = text.indexOf('=');
  const name = at < 0 ? text : text.slice(0, at);
  const hosts = at < 0 ? [] : text.slice(at + 1).split(',');
  if (!NAME.test(name) || hosts.length === 0 || !hosts.every((host) => HOST.test(host))) {
    throw new KomError('KOM_USAGE', `--kernel ${text}`, {
      expected: 'NAME=HOST,HOST: a name of letters, digits, _ and -, then its addresses without ports',
    });
  }
  if (before.some((each) => each.name === name)) {
    throw new KomError('KOM_USAGE', `--kernel ${text}: ${name} is named already`, {
      expected: `all addresses of a Kernel in one --kernel ${name}=HOST,HOST`,
    });
  }
  return [...before, { name, hosts }];
}
