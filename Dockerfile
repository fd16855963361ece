# syntax=docker/dockerfile:1
# `make image` builds this; what is in /opt/sidecar, `make image-tree` builds without a container engine.

# The same in both stages: the installed programs are bound to its interpreter and its C library.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /source
COPY .docker/compiler.sh .docker/
RUN --mount=type=secret,id=ca.pem [".docker/compiler.sh"]
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
    [".docker/build.sh", "/opt/sidecar"]

FROM ${BASE}
ARG BASE
ARG VERSION=""
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="credential-sidecar" \
      org.opencontainers.image.description="A localhost reverse proxy that injects, caches and heals bearer tokens" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /opt/sidecar /opt/sidecar
ENV PATH=/opt/sidecar/bin:$PATH \
    PYTHONPYCACHEPREFIX=/opt/sidecar/bytecode \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 65532:65532
# The data port is for loopback alone; nothing outside the pod may reach it.
EXPOSE 9181
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/opt/sidecar/bin/sidecar", "status", "--healthcheck"]
ENTRYPOINT ["/opt/sidecar/bin/sidecar"]
CMD ["run"]
