# The agent and its Kernel as one image, for linux/amd64, linux/arm64 and linux/arm/v7.
#
#   docker build -t kom .
#   docker build -t kom --platform linux/arm/v7 --build-arg NODE_VERSION=22 .
#
# Node 24 has no official build for arm/v7, Node 22 is its last. DuckDB has none either, so that image runs
# agents only: `kom kernel` says there that the embedded archive is not installed.
#
#   docker run --read-only --tmpfs /tmp -v kom-data:/data -v ./site.json:/etc/kom/site.json:ro \
#     kom run /etc/kom/site.json --server ServerKom1
#
# Nothing is written outside /data (and /tmp): the site file must keep `dataDirectory` and `controlSocket`
# below /data. A serial port needs `--device /dev/ttyUSB0 --group-add dialout`.

ARG NODE_VERSION=24
ARG BASE_IMAGE=node:${NODE_VERSION}-bookworm-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /opt/kom
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY bin bin
COPY src src
RUN npm run build
# The image brings its own Node: the copies that npm installs for machines with an old one are left out.
# This stage runs on the target's architecture, so it is asked and not the builder's arguments.
RUN npm prune --omit=dev \
 && rm -rf node_modules/node-linux-* node_modules/.bin/node \
 && if [ "$(node -p process.arch)" = arm ]; then rm -rf node_modules/@duckdb; fi \
 && mkdir -p image/data image/etc/kom

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="KOM Archive" \
      org.opencontainers.image.description="Store-and-forward communication agent for industrial PCs" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number without an account has no home; some libraries ask for one when they are loaded.
ENV NODE_ENV=production HOME=/data
WORKDIR /opt/kom
COPY --from=build /opt/kom/package.json ./
COPY --from=build /opt/kom/bin bin
COPY --from=build /opt/kom/dist dist
COPY --from=build /opt/kom/node_modules node_modules
COPY examples examples
COPY LICENSE ./
# No account is needed for a number; whoever mounts a volume or a device gives it to 10001.
COPY --from=build --chown=10001:10001 /opt/kom/image/data /data
COPY --from=build /opt/kom/image/etc/kom /etc/kom
USER 10001:10001
VOLUME /data
EXPOSE 3119
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "/opt/kom/bin/kom.cjs", "status", "--health", "--config", "/etc/kom/site.json"]
ENTRYPOINT ["node", "/opt/kom/bin/kom.cjs"]
CMD ["run", "/etc/kom/site.json"]
