interface IpRange {
  readonly bits: 32 | 128;
  readonly address: bigint;
  readonly prefix: number;
}

/** An IPv4 or IPv6 address, or a network of them with its prefix length (RFC 4632, RFC 4291 section 2.3). */
export function isIpRange(text: string): boolean {
  return parseRange(text) !== null;
}

/** An address lies in one of the ranges; an IPv4 address that is mapped into IPv6 counts as itself. */
export function isInRanges(host: string, ranges: readonly string[]): boolean {
  const own = parseAddress(host.replace(/%.*$/, ''));
  if (own === null) return false;
  return ranges.some((text) => {
    const range = parseRange(text);
    if (range === null || range.bits !== own.bits) return false;
    const shift = BigInt(range.bits - range.prefix);
    return own.address >> shift === range.address >> shift;
  });
}

function parseRange(text: string): IpRange | null {
  const [host = '', length, ...rest] = text.split('/');
  const address = parseAddress(host);
  if (address === null || rest.length > 0) return null;
  if (length === undefined) return { ...address, prefix: address.bits };
  const prefix = /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  return prefix <= address.bits ? { ...address, prefix } : null;
}

function parseAddress(text: string): Omit<IpRange, 'prefix'> | null {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1];
  const four = parseFour(mapped ?? text);
  if (four !== null) return { bits: 32, address: four };
  const six = parseSix(text);
  return six === null ? null : { bits: 128, address: six };
}

function parseFour(text: string): bigint | null {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255))
    return null;
  return parts.reduce((address, part) => address * 256n + BigInt(part), 0n);
}

function parseSix(text: string): bigint | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const groups = [...head, ...Array.from({ length: missing }, () => '0'), ...tail];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  return groups.reduce((address, group) => address * 65_536n + BigInt(`0x${group}`), 0n);
}
