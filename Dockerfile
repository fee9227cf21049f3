# The image of PRIMCS. docs/containers.md says with which flags it runs; without them it refuses.
#
#   docker build --tag primcs .            builds the programs, too
#   make image                             takes programs that are built already, and tests the image
#
# Programs that are built already take the place of the first stage: --build-context programs=FOLDER
ARG BUILD_BASE=docker.io/library/rust:1-bookworm
ARG RUNTIME_BASE=docker.io/library/debian:bookworm-slim

FROM ${BUILD_BASE} AS programs
WORKDIR /src
COPY . .
# The supervisor first and apart, as in the Makefile: together with the server it would get its crates.
RUN cargo build --locked --release --no-default-features --bin primcs-supervisor \
 && cargo build --locked --release --bin primcs \
 && cp target/release/primcs target/release/primcs-supervisor /

FROM ${RUNTIME_BASE}
# What runs see is copied from here at the first start: the interpreter, and those of these tools that
# policy/mounts.toml names. Not git, whose hundred megabytes few need: --build-arg TOOLS="... git".
ARG TOOLS="bzip2 make patch procps unzip xz-utils zip"
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 ${TOOLS} \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log \
 && groupadd --gid 65532 primcs \
 && useradd --uid 65532 --gid 65532 --no-log-init --no-create-home \
      --home-dir /var/lib/primcs --shell /usr/sbin/nologin primcs \
 && install -d -m 0755 /var/lib/primcs \
 && install -d -o primcs -g primcs -m 0700 /var/lib/primcs/user
# Neighbours, owned by root: the server starts the supervisor that lies beside it and no other.
COPY --from=programs --chmod=0755 /primcs /primcs-supervisor /usr/libexec/primcs/
COPY --chmod=0755 packaging/container/health packaging/container/own-cgroup /usr/libexec/primcs/
RUN ln -s ../libexec/primcs/primcs /usr/bin/primcs

# By number, so that Kubernetes' runAsNonRoot can tell. The supervisor gets its rights from a user
# namespace of its own, and the server has none.
USER 65532:65532
# The private copy of a plain user; that of root lies in the volume itself.
ENV XDG_STATE_HOME=/var/lib/primcs/user
VOLUME /var/lib/primcs
EXPOSE 9000
# Ready means that a run was confined just now, not only that the port answers.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["/usr/libexec/primcs/health"]
# Unless a token is set (docs/containers.md), whoever reaches the port of the container can run code.
# Publish it on 127.0.0.1 of the host, and put nothing on its network that may not run code.
ENTRYPOINT ["primcs"]
CMD ["serve", "--listen", "0.0.0.0:9000", "--allow-unauthenticated"]
