# An image of Caddy with caddy-huma and its store module. The last stage contains the binary,
# certificate authorities, a user without privileges, as which it runs, and the directories that
# Caddy uses:
#
#	docker build -t caddy-huma .
#	docker run --rm -p 8080:8080 -v "$PWD/caddy:/etc/caddy:ro" caddy-huma
#
# For several platforms: docker buildx build --platform linux/amd64,linux/arm64 .
# The stage sandbox is an image of the fake services: docker build --target sandbox .
ARG BUILDER=caddy:2.11.9-builder
ARG BASE=scratch

# The builder runs on the platform of the machine, and compiles for that of the image.
FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
# The version of Caddy. Its builder image has a variable CADDY_VERSION, which an argument of that
# name would not change.
ARG CADDY=v2.11.9
ARG TARGETOS
ARG TARGETARCH
ENV CGO_ENABLED=0
WORKDIR /src
COPY . .
RUN GOOS=${TARGETOS} GOARCH=${TARGETARCH} CADDY_VERSION=${CADDY} deploy/rootfs /image

FROM build AS build-sandbox
RUN GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -ldflags "-s -w" -tags nobadger,nomysql,nopgx -o /image/usr/bin/caddy ./cmd/caddy

# The sandbox. Do not expose it: it has no authentication.
FROM scratch AS sandbox
COPY --from=build-sandbox /image /
ENV PATH=/usr/bin HOME=/
USER 65532:65532
EXPOSE 8081
ENTRYPOINT ["/usr/bin/caddy", "huma-sandbox"]
CMD ["--listen", "0.0.0.0:8081", "--allow-remote"]

FROM ${BASE}
LABEL org.opencontainers.image.title="caddy-huma" \
	org.opencontainers.image.description="Caddy with the token endpoint for Huma and Human API Connect" \
	org.opencontainers.image.source="https://github.com/caddy-huma/caddy-huma" \
	org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image /
# Certificates and the last config: keep them in volumes.
ENV PATH=/usr/bin XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config HOME=/
VOLUME ["/data", "/config"]
WORKDIR /etc/caddy
USER 65532:65532
EXPOSE 8080 8443
# Requests /huma/health from the admin endpoint: it fails with "admin off".
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
	CMD ["/usr/bin/caddy", "huma", "health"]
ENTRYPOINT ["/usr/bin/caddy"]
CMD ["run", "--config", "/etc/caddy/Caddyfile"]
