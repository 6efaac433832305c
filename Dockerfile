# syntax=docker/dockerfile:1

# The build image and the image that runs are of the same Debian, so that they share a C library.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches keep dependencies between builds; the program is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin tenet && cp target/release/tenet /tenet && strip /tenet

# A C library, root certificates and an account without rights: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /tenet /usr/local/bin/tenet
COPY LICENSE /usr/share/doc/tenet/LICENSE
# A container's loopback is its own: outside it, the service would not be there.
ENV TENET_LISTEN=0.0.0.0:8080
USER nonroot
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["tenet", "health"]
ENTRYPOINT ["tenet"]
CMD ["serve"]
