# Two images: `slim` needs PostgreSQL with pgvector (DATABASE_URL) and, to search by meaning, an embedding endpoint;
# `full`, the default, brings both along. See docs/operating.md, "One container".
ARG BASE=docker.io/library/python:3.13.11-slim-bookworm

FROM ${BASE} AS build
SHELL ["/bin/sh", "-eu", "-c"]
# binutils takes debugging symbols out of libraries that come with them.
# hadolint ignore=DL3008
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements.lock ./
COPY .dev ./.dev
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /build \
 && .dev/locked hatchling packaging pathspec pluggy trove-classifiers >/tmp/build.txt \
 && /build/bin/pip install --quiet --no-cache-dir --no-deps --require-hashes -r /tmp/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY toolbox ./toolbox
COPY migrations ./migrations
COPY plugins ./plugins
RUN /build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . ./plugins/*

FROM build AS build-slim
RUN python3 -m venv --without-pip /opt/toolbox \
 && .dev/locked .dev/slim.packages >/tmp/slim.txt \
 && /build/bin/pip --python /opt/toolbox/bin/python install --quiet --no-cache-dir --no-compile --no-deps \
      --only-binary :all: --require-hashes -r /tmp/slim.txt \
 && rm /wheels/toolbox_minilm-* \
 && /build/bin/pip --python /opt/toolbox/bin/python install --quiet --no-cache-dir --no-compile --no-deps --no-index \
      /wheels/*.whl
COPY .dev/trim ./.dev/
RUN .dev/trim /opt/toolbox

FROM build AS build-full
RUN python3 -m venv --without-pip /opt/toolbox \
 && .dev/locked .dev/full.packages >/tmp/full.txt \
 && /build/bin/pip --python /opt/toolbox/bin/python install --quiet --no-cache-dir --no-compile --no-deps \
      --only-binary :all: --require-hashes -r /tmp/full.txt \
 && /build/bin/pip --python /opt/toolbox/bin/python install --quiet --no-cache-dir --no-compile --no-deps --no-index \
      /wheels/*.whl
COPY .dev/trim ./.dev/
RUN .dev/trim /opt/toolbox

FROM ${BASE} AS common
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ToolBox" \
      org.opencontainers.image.description="The place where AI agents find and call tools" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A user with a name: PostgreSQL makes no cluster for one without. Its home is where the embedded one keeps its data.
RUN echo "toolbox:x:10001:10001::/data:/usr/sbin/nologin" >>/etc/passwd \
 && echo "toolbox:x:10001:" >>/etc/group \
 && install -d -o 10001 -g 10001 -m 700 /data
ENV PATH=/opt/toolbox/bin:$PATH \
    DATA_DIR=/data \
    HOST=0.0.0.0 \
    LOG_FORMAT=json \
    PORT=8000 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["toolbox", "health"]
ENTRYPOINT ["toolbox"]
CMD ["serve"]

FROM common AS slim
COPY --from=build-slim /opt/toolbox /opt/toolbox
USER 10001:10001

FROM common AS full
COPY --from=build-full /opt/toolbox /opt/toolbox
VOLUME /data
USER 10001:10001
