import { describe, expect, it } from 'vitest';
import { isHandedOver, isNewerReign, NO_REIGN, nextReign, type Reign, withInSync } from './reign.ts';

const a5: Reign = { epoch: 5, hot: 'A', revision: 2, inSync: ['A', 'B'] };

describe('reigns', () => {
  it('the higher epoch holds, then the later set of the same Kernel', () => {
    expect(isNewerReign(nextReign(5, { hot: 'B', inSync: ['B'] }), a5)).toBe(true);
    expect(isNewerReign(a5, nextReign(5, { hot: 'B', inSync: ['B'] }))).toBe(false);
    expect(isNewerReign(withInSync(a5, ['A']), a5)).toBe(true);
    expect(isNewerReign(a5, a5)).toBe(false);
    expect(isNewerReign(a5, NO_REIGN)).toBe(true);
  });

  it('two that were forced to one epoch agree on who steps down, whatever their revisions', () => {
    const b5 = { ...a5, hot: 'B', revision: 9 };
    expect(isNewerReign(a5, b5)).toBe(true);
    expect(isNewerReign(b5, a5)).toBe(false);
  });

  it('an epoch of which nothing but its number is known gives way to whoever rules in it', () => {
    const unknown = { ...NO_REIGN, epoch: 5 };
    expect(isNewerReign(a5, unknown)).toBe(true);
    expect(isNewerReign(unknown, a5)).toBe(false);
    expect(isNewerReign({ ...unknown, epoch: 6 }, a5)).toBe(true);
  });

  it('is handed over to who knows the one before, or one of a third Kernel in its epoch', () => {
    const b6 = nextReign(5, { hot: 'B', inSync: ['B', 'A'] });
    expect(isHandedOver(b6, a5)).toBe(true);
    expect(isHandedOver(b6, { ...b6, hot: 'C' })).toBe(true);
    expect(isHandedOver({ ...b6, epoch: 7 }, a5), 'it ruled since').toBe(false);
    expect(isHandedOver(b6, NO_REIGN), 'its disk is new').toBe(false);
    expect(isHandedOver({ ...b6, epoch: 7 }, b6), 'it ruled itself').toBe(false);
  });
});
