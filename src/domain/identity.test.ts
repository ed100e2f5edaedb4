import { describe, expect, it } from 'vitest';
import { formatIdentity, parseIdentity } from './identity.ts';

describe('identities in certificates', () => {
  it('come back as they were written, whatever the names hold', () => {
    for (const site of ['S', 'Plant 1', 'Žilina: a,b "c"', '%41']) {
      const agent = { role: 'agent', site, process: 'KomA', instance: 15 } as const;
      const kernel = { role: 'kernel', site, name: '10.0.0.5' } as const;
      expect(parseIdentity(formatIdentity(agent))).toEqual(agent);
      expect(parseIdentity(formatIdentity(kernel))).toEqual(kernel);
    }
    expect(formatIdentity({ role: 'agent', site: 'Plant 1', process: 'KomA', instance: 2 })).toBe(
      'urn:kom:Plant%201:agent:KomA:2',
    );
  });

  it.each([
    ...['', 'urn:kom', 'urn:kom:S', 'urn:kom:S:agent', 'urn:kom:S:agent:KomA', 'urn:kom:S:agent:KomA:x'],
    ...['urn:kom:S:agent:KomA:1:2', 'urn:kom:S:agent:KomA:01', 'urn:kom:S:other:KomA:1', 'urn:x:S:kernel:a'],
    ...['urn:kom:%53:kernel:a', 'urn:kom:%:kernel:a', 'URN:kom:S:kernel:a'],
  ])('%j is none', (uri) => expect(parseIdentity(uri)).toBeNull());
});
