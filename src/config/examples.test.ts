import { globSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadKernelConfig } from './load.ts';

it.each(globSync('examples/**/kernel*.json').sort())('%s does as docs/POSTGRESQL.md says', async (file) => {
  const { config, problems } = await loadKernelConfig(file, { secretsOptional: true });
  const { archive } = config;
  if (archive.kind === 'embedded') return;
  expect(problems.filter(({ message }) => message.includes('without TLS'))).toEqual([]);
  expect(archive.tls?.ca).toMatch(/database-ca\.pem$/);
  expect({ user: archive.login.user, owner: archive.owner?.user }).toEqual({
    user: 'kom_writer',
    owner: 'kom_owner',
  });
});
