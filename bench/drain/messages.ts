/** What the Kernel's process tells the bench. */
export type KernelAnswer =
  | { readonly kind: 'listening'; readonly port: number }
  | {
      readonly kind: 'report';
      /** Age of the present value of the fast tag, each time it was looked at. */
      readonly agesMs: readonly number[];
      /** By how much the event loop of the Kernel was late: a heartbeat or a lease waits as long. */
      readonly loopDelayMs: { readonly p99: number; readonly worst: number };
      readonly cpuUs: number;
      readonly rssMax: number;
    }
  | { readonly kind: 'archived'; readonly samples: number }
  | { readonly kind: 'stopped'; readonly closeMs: number };

/** What the agent's process tells the bench. */
export type AgentAnswer =
  | { readonly kind: 'filled'; readonly samples: number; readonly bytes: number }
  | { readonly kind: 'connected' }
  | {
      readonly kind: 'drained';
      readonly samples: number;
      readonly seconds: number;
      readonly cpuUs: number;
      readonly rssMax: number;
    }
  | { readonly kind: 'stopped' };

/** The tag that is read, and changes, ten times a second, to see the age of live values. */
export const FAST_TAG = 'P.t0';
