import { execFileSync } from 'node:child_process';

/** Why network namespaces with firewalls cannot be had here; `null`: they can. */
export function noNamespaces(): string | null {
  if (process.getuid?.() !== 0) return 'only root can make network namespaces';
  const name = `kom${process.pid}t`;
  try {
    execFileSync('nft', ['--version'], { stdio: 'ignore' });
    ip('netns', 'add', name);
    ip('netns', 'del', name);
    return null;
  } catch (error) {
    return `no network namespaces: ${String(error).slice(0, 200)}`;
  }
}

/** A firewall that lets nobody in but to these ports, and lets out what the namespace begins. */
export function closeAllBut(namespace: string, ports: readonly number[]): void {
  const rules = `table inet kom {
    chain input {
      type filter hook input priority 0; policy drop;
      iif lo accept
      ct state established,related accept
      ${ports.length === 0 ? '' : `tcp dport { ${ports.join(', ')} } accept`}
    }
  }
  `;
  execFileSync('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], { input: rules });
}

export function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
