import { describe, expect, it } from 'vitest';
import { Admission } from './admission.ts';
import { CONNECTIONS_PER_ADDRESS_MAX, GREETINGS_PER_ADDRESS_MAX } from './limits.ts';

describe('admission of connections', () => {
  it('refuses an address that opens many without saying who it is, and no other address', () => {
    const admission = new Admission();
    for (let at = 0; at < GREETINGS_PER_ADDRESS_MAX; at++)
      expect(admission.enter(`10.0.0.5:${at}`)).toBeNull();
    expect(admission.enter('10.0.0.5:9')).toMatch(/did not say who they are/);
    expect(admission.enter('[fe80::1]:9')).toBeNull();
    admission.greeted('10.0.0.5:0');
    expect(admission.enter('10.0.0.5:9')).toBeNull();
  });

  it('refuses an address that has many, until one leaves', () => {
    const admission = new Admission();
    for (let at = 0; at < CONNECTIONS_PER_ADDRESS_MAX; at++) {
      expect(admission.enter(`h:${at}`)).toBeNull();
      admission.greeted(`h:${at}`);
    }
    expect(admission.enter('h:9')).toBe('too many connections of one address');
    admission.leave('h:1');
    expect(admission.enter('h:9')).toBeNull();
  });
});
