import { expect, it } from 'vitest';
import { isInRanges, isIpRange } from './ip-range.ts';

it('knows addresses and networks of both families', () => {
  for (const text of ['10.1.2.3', '10.0.0.0/8', '0.0.0.0/0', '::1', 'fd00::/8', '2001:db8:0:1:2:3:4:5']) {
    expect(isIpRange(text), text).toBe(true);
  }
  for (const text of [
    '',
    '10.1.2',
    '10.1.2.256',
    '10.0.0.0/33',
    '10.0.0.0/x',
    'fd00:::',
    '1:2:3',
    'plant',
    '::/129',
  ]) {
    expect(isIpRange(text), text).toBe(false);
  }
});

it('tells who is in', () => {
  expect(isInRanges('10.1.2.3', ['10.1.0.0/16'])).toBe(true);
  expect(isInRanges('10.2.2.3', ['10.1.0.0/16'])).toBe(false);
  expect(isInRanges('10.1.2.3', ['192.168.1.1', '10.1.2.3'])).toBe(true);
  expect(isInRanges('::ffff:10.1.2.3', ['10.1.2.0/24']), 'a socket of both families').toBe(true);
  expect(isInRanges('fd12::9', ['fd00::/8'])).toBe(true);
  expect(isInRanges('fe80::1%eth0', ['fe80::/10'])).toBe(true);
  expect(isInRanges('10.1.2.3', ['fd00::/8'])).toBe(false);
  expect(isInRanges('local', ['0.0.0.0/0'])).toBe(false);
  expect(isInRanges('10.1.2.3', []), 'nobody').toBe(false);
});
