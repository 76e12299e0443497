# The image of Headwind for machines with a container engine. `make image` builds one without.
# The last stage has no base: `deploy/image/build.py` collects the files that the binary needs, in both ways.
#
#   docker build --build-arg REVISION=$(git rev-parse HEAD) -t headwind .
#
# A Debian image with Rust and Python 3; the binary links its glibc.
ARG BUILD_IMAGE=rust:1.95-bookworm

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --release -p headwind \
    && python3 deploy/image/build.py --binary target/release/headwind --rootfs /rootfs \
       --version "$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"

FROM scratch
ARG REVISION=unknown
LABEL org.opencontainers.image.title=headwind \
      org.opencontainers.image.description="Keeps Kubernetes workloads on the right container image" \
      org.opencontainers.image.url=https://headwind.sh \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.revision=${REVISION}
COPY --from=build /rootfs /
# A number, so that the kubelet can check runAsNonRoot.
USER 65532:65532
EXPOSE 8080 8081 8082 9090
ENTRYPOINT ["/usr/bin/headwind"]
CMD ["run"]
