# fireorder on Debian 13: built in one stage, run in another as nobody, with nothing but the libraries it needs.
FROM docker.io/library/debian:trixie-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev cmake ninja-build pkg-config \
        libcivetweb-dev libcurl4-openssl-dev libssl-dev libhiredis-dev libsqlite3-dev libyaml-dev libzstd-dev \
    && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN cmake -G Ninja -S /source -B /build -DCMAKE_BUILD_TYPE=Release && cmake --build /build && DESTDIR=/out cmake --install /build --prefix /usr --strip

FROM docker.io/library/debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl libcivetweb1 libcurl4t64 libssl3t64 libhiredis1.1.0 \
        libsqlite3-0 libyaml-0-2 libzstd1 \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old && mkdir /data && chown nobody:nogroup /data
COPY --from=build /out/usr /usr
USER nobody:nogroup
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["curl", "-fsS", "http://127.0.0.1:9090/readyz"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["fireorder"]
CMD ["serve", "--config", "/etc/fireorder/fireorder.yaml"]
