# Two images: `weir` (the programs) and `upstream` (the sample upstream of the demo and the tests).
#   docker build --target weir -t weir .
# Nothing writes to the root file system: run it read-only, with a tmpfs at /tmp. As the user `weir`, never as root.
ARG DEBIAN=debian:12-slim

FROM ${DEBIAN} AS build
WORKDIR /src
COPY dev ./
COPY .ci .ci
RUN ./dev setup build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN WEIR_SKIP_SETUP=1 ./dev build release weir weir-worker weir-sample-upstream \
    && cmake --install build/release --prefix /opt/weir --strip \
    && install -D -s -t /opt/upstream/bin build/release/bin/weir-sample-upstream \
    && .ci/lib/runtime_packages.sh /opt/weir/bin/* /opt/upstream/bin/* > /opt/packages

FROM ${DEBIAN} AS runtime
RUN --mount=type=bind,from=build,source=/opt/packages,target=/tmp/packages \
    apt-get update \
    && xargs -a /tmp/packages apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin weir
USER 10001:10001

FROM runtime AS upstream
COPY --from=build /opt/upstream/bin/ /usr/local/bin/
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080"]
ENTRYPOINT ["weir-sample-upstream"]
CMD ["--host", "0.0.0.0", "--port", "8080"]

FROM runtime AS weir
COPY --from=build /opt/weir/ /usr/local/
ENV WEIR_METRICS_ADDRESS=0.0.0.0 \
    WEIR_METRICS_PORT=9464 \
    WEIR_LOG_FORMAT=json
EXPOSE 9464
# There is no HTTP client in the image; bash speaks enough HTTP to ask for /livez.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["bash", "-c", "exec 3<>\"/dev/tcp/127.0.0.1/${WEIR_METRICS_PORT}\" && printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
CMD ["weir", "serve"]
