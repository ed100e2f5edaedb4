import type { OpcuaLine, OpcuaStation, OpcuaTag } from '../../config/model.ts';
import { KomError } from '../../domain/errors.ts';
import { isUsable, Quality } from '../../domain/quality.ts';
import type { Reading } from '../../domain/sample.ts';
import type { OpcuaLibrary } from './library.ts';
import type { ServerFacts } from './node-ids.ts';
import type { Session } from './session.ts';

/** One station is one subscription. */
export class Subscription {
  readonly station: OpcuaStation;
  readonly id: number;
  /** As the server revised them. */
  readonly keepAliveMs: number;
  readonly #opcua: OpcuaLibrary;
  readonly #session: Session;
  readonly #failoverMs: number;
  readonly #tags = new Map<number, OpcuaTag>();
  /** Of the items that the server monitors. */
  #itemIds: number[] = [];
  #reports: boolean;
  #refused: readonly OpcuaTag[] = [];
  #slowestSamplingMs = 0;

  constructor(where: Where, station: OpcuaStation, revised: { id: number; keepAliveMs: number }) {
    this.#opcua = where.opcua;
    this.#session = where.session;
    this.#failoverMs = where.failoverMs;
    this.#reports = where.reports;
    this.station = station;
    this.id = revised.id;
    this.keepAliveMs = revised.keepAliveMs;
  }

  /** The tag of a client handle. */
  tagOf(clientHandle: number): OpcuaTag | undefined {
    return this.#tags.get(clientHandle);
  }

  get hasRefused(): boolean {
    return this.#refused.length > 0;
  }

  /** A change younger than this may not have been sampled yet. */
  get slowestSamplingMs(): number {
    return this.#slowestSamplingMs;
  }

  /** Monitors every tag; gives bad readings for those that the server refuses. */
  monitorAll(facts: ServerFacts, nowUs: number): Promise<Reading[]> {
    return this.#monitor(this.station.tags, facts, nowUs);
  }

  /** Tries the refused tags again; gives bad readings for those still refused. */
  monitorRefused(facts: ServerFacts, nowUs: number): Promise<Reading[]> {
    return this.#monitor(this.#refused, facts, nowUs);
  }

  /**
   * Changes of values are reported, or only taken into the queues. Returns the server's time at which all
   * items do so, integer µs.
   * @throws KomError KOM_DEVICE_REJECTED
   */
  async setReporting(reports: boolean, itemsPerCall: number): Promise<number> {
    const { MonitoringMode } = this.#opcua;
    this.#reports = reports;
    const ids = this.#itemIds;
    let atUs = 0;
    for (let start = 0; start < ids.length; start += itemsPerCall) {
      const { results, responseHeader } = await this.#session.setMonitoringMode({
        subscriptionId: this.id,
        monitoringMode: reports ? MonitoringMode.Reporting : MonitoringMode.Sampling,
        monitoredItemIds: ids.slice(start, start + itemsPerCall),
      });
      const refused = results?.find((result) => !isUsable(result.value));
      if (refused !== undefined) {
        const what = `another monitoring mode for station ${this.station.name}`;
        throw new KomError('KOM_DEVICE_REJECTED', what, { got: refused.toString() });
      }
      atUs = (responseHeader.timestamp?.getTime() ?? 0) * 1000;
    }
    return atUs;
  }

  async #monitor(tags: readonly OpcuaTag[], facts: ServerFacts, nowUs: number): Promise<Reading[]> {
    const bad: Reading[] = [];
    const refused: OpcuaTag[] = [];
    const refuse = (tag: OpcuaTag, quality: number): void => {
      refused.push(tag);
      bad.push({ tagIndex: tag.index, sourceTimeUs: nowUs, value: null, quality });
    };
    for (let start = 0; start < tags.length; start += facts.itemsPerCall) {
      await this.#monitorSome(tags.slice(start, start + facts.itemsPerCall), facts, refuse);
    }
    this.#refused = refused;
    return bad;
  }

  async #monitorSome(
    tags: readonly OpcuaTag[],
    facts: ServerFacts,
    refuse: (tag: OpcuaTag, quality: number) => void,
  ): Promise<void> {
    const { AttributeIds, MonitoringMode, TimestampsToReturn } = this.#opcua;
    const reports = this.#reports;
    const monitoringMode = reports ? MonitoringMode.Reporting : MonitoringMode.Sampling;
    const asked = tags.flatMap((tag) => {
      const nodeId = facts.resolver.resolve(tag.nodeId);
      if (nodeId !== undefined) return { tag, nodeId };
      refuse(tag, Quality.badNodeIdUnknown);
      return [];
    });
    if (asked.length === 0) return;
    // The values may be notified before this call returns.
    for (const { tag } of asked) this.#tags.set(tag.index, tag);
    const response = await this.#session.createMonitoredItems({
      subscriptionId: this.id,
      timestampsToReturn: TimestampsToReturn.Both,
      itemsToCreate: asked.map(({ tag, nodeId }) => ({
        itemToMonitor: { nodeId, attributeId: AttributeIds.Value },
        monitoringMode,
        requestedParameters: {
          clientHandle: tag.index,
          samplingInterval: tag.samplingIntervalMs,
          queueSize: queueSizeOf(tag, this.#failoverMs),
          discardOldest: true,
        },
      })),
    });
    for (const [position, { tag }] of asked.entries()) {
      const result = response.results?.[position];
      const quality = result?.statusCode.value ?? Quality.bad;
      if (result !== undefined && isUsable(quality)) {
        this.#itemIds.push(result.monitoredItemId);
        this.#slowestSamplingMs = Math.max(this.#slowestSamplingMs, result.revisedSamplingInterval);
      } else {
        refuse(tag, quality);
      }
    }
    // The role changed while the server made the items.
    if (this.#reports !== reports) await this.setReporting(this.#reports, facts.itemsPerCall);
  }
}

/** Where subscriptions are made. */
export interface Where {
  readonly opcua: OpcuaLibrary;
  readonly session: Session;
  readonly line: OpcuaLine;
  /** Changes are reported from the start; else they only go into the queues. */
  readonly reports: boolean;
  /** The queues are to take what changes in so long. */
  readonly failoverMs: number;
}

/** Room for more values than this is not asked for; what a server gives is its own. */
const QUEUE_SIZE_MAX = 1000;

/** As configured, or what may change during a failover, if that is more; the same in both roles. */
function queueSizeOf({ queueSize, samplingIntervalMs }: OpcuaTag, failoverMs: number): number {
  const changes = Math.ceil(failoverMs / Math.max(samplingIntervalMs, 1)) + 1;
  return failoverMs === 0 ? queueSize : Math.max(queueSize, Math.min(changes, QUEUE_SIZE_MAX));
}

/** Bound on the values of one notification message; a server with more sends several. */
const NOTIFICATIONS_PER_PUBLISH_MAX = 10_000;

/** @throws KomError KOM_DEVICE_REJECTED if the server gives no subscription */
export async function createSubscription(where: Where, station: OpcuaStation): Promise<Subscription> {
  const { session, line } = where;
  const response = await session.createSubscription({
    requestedPublishingInterval: line.publishingIntervalMs,
    requestedMaxKeepAliveCount: line.keepAliveCount,
    requestedLifetimeCount: Math.max(line.lifetimeCount, 3 * line.keepAliveCount),
    maxNotificationsPerPublish: NOTIFICATIONS_PER_PUBLISH_MAX,
    publishingEnabled: true,
    priority: 1,
  });
  const { subscriptionId: id, revisedPublishingInterval, revisedMaxKeepAliveCount } = response;
  if (!(id > 0)) {
    throw new KomError('KOM_DEVICE_REJECTED', `a subscription for station ${station.name}`, {
      got: response.responseHeader.serviceResult.toString(),
    });
  }
  return new Subscription(where, station, {
    id,
    keepAliveMs: revisedPublishingInterval * revisedMaxKeepAliveCount,
  });
}
