# The control plane as a Functions container, for Kubernetes or any other host of containers outside Azure Functions.
# Build from the repository's root: docker build -f infra/control-plane.Dockerfile -t arcbridge-control-plane .
# Bases are named by digest in the FROM lines themselves: that is where Dependabot finds and renews them. For
# linux/amd64 alone: the host's image and its worker exist for nothing else.
FROM python:3.13.14-slim-bookworm@sha256:67a1e1f215ccda113cfc024e8639049257e88f273898f595b61476d128d387e8 AS build
WORKDIR /home/site/wwwroot
COPY requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --no-compile --require-hashes \
        --only-binary :all: --target .python_packages/lib/site-packages -r requirements.txt
COPY host.json function_app.py ./
COPY functions ./functions
COPY shared ./shared
# Generated gRPC code is the relay's and the agents': the Functions worker carries a grpc of its own.
RUN rm -rf shared/rpc .python_packages/lib/site-packages/bin

FROM mcr.microsoft.com/azure-functions/python:4-python3.13@sha256:2abfe9a6e06cb1b98ff9be0c6d1a858afd8cf11bff5a479f8ef97c221f7c0c47
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="ArcBridge control plane" \
    org.opencontainers.image.description="Every REST endpoint and every timer, in the Azure Functions host." \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.source="${SOURCE}" \
    io.arcbridge.image.sbom="attested: docker buildx imagetools inspect IMAGE --format '{{json .SBOM}}'"
# A port that needs no rights; keys in files because no endpoint is guarded by one; a home that it may write to.
# AzureWebJobsSecretStorageType says where the host keeps its keys, and holds none itself:
# hadolint ignore=DL3064
ENV AzureWebJobsScriptRoot=/home/site/wwwroot \
    AzureFunctionsJobHost__Logging__Console__IsEnabled=true \
    AzureWebJobsDisableHomepage=true \
    AzureWebJobsSecretStorageType=files \
    ASPNETCORE_URLS=http://+:8080 \
    FUNCTIONS_WORKER_RUNTIME=python \
    PYTHON_ENABLE_OPENTELEMETRY=true \
    HOME=/tmp \
    ARCBRIDGE_PACER_SCHEDULE="*/5 * * * * *" \
    ARCBRIDGE_HEARTBEAT_FLUSH_SCHEDULE="*/15 * * * * *" \
    ARCBRIDGE_CONNECTIVITY_SWEEP_SCHEDULE="0 * * * * *" \
    ARCBRIDGE_DRIFT_SWEEP_SCHEDULE="0 */5 * * * *" \
    ARCBRIDGE_CERTIFICATE_SWEEP_SCHEDULE="30 * * * * *" \
    ARCBRIDGE_RETENTION_SCHEDULE="0 30 3 * * *"
COPY --from=build /home/site/wwwroot /home/site/wwwroot
RUN mkdir -p /azure-functions-host/Secrets && chown 10001:10001 /azure-functions-host/Secrets
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/api/health/live', timeout=4)"]
