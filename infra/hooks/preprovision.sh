#!/usr/bin/env bash
# Before Azure is changed: the parameter file that was chosen, and ArcBridge in the directory.
set -euo pipefail

: "${AZURE_ENV_NAME:?run by azd}"
: "${ARCBRIDGE_RELAY_RELEASE:?azd env set ARCBRIDGE_RELAY_RELEASE ghcr.io/OWNER/REPOSITORY/relay@sha256:DIGEST}"
: "${ARCBRIDGE_AGENT_IMAGE:?azd env set ARCBRIDGE_AGENT_IMAGE ghcr.io/OWNER/REPOSITORY/agent@sha256:DIGEST}"
: "${ARCBRIDGE_RUNBOOK_BASE:?azd env set ARCBRIDGE_RUNBOOK_BASE https://github.com/OWNER/REPOSITORY/blob/main/docs/runbooks}"

mkdir -p build/control-plane
[ -x .venv/bin/python ] || make setup

# azd takes the parameter file beside main.bicep; which one that is, is a setting (dev or prod).
parameters=infra/bicep/env/${ARCBRIDGE_PARAMETERS:-dev}.bicepparam
sed "s|^using '../main.bicep'|using 'main.bicep'|" "$parameters" > infra/bicep/main.bicepparam

if [ -z "${ARCBRIDGE_OIDC_AUDIENCE:-}" ]; then
  .venv/bin/python infra/hooks/entra_app.py --name "$AZURE_ENV_NAME" --tenant "${ARCBRIDGE_TENANT:-main}"
fi
