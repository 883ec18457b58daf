#!/usr/bin/env bash
# After Azure was changed: the relay's image into the registry, the issuing key certified, the database prepared.
# Each step is left out when it has been done; the next `azd provision` takes up what the steps set.
set -euo pipefail

digest=${ARCBRIDGE_RELAY_RELEASE##*@}
image=$ARCBRIDGE_REGISTRY_SERVER/relay@$digest
if [ "${ARCBRIDGE_RELAY_IMAGE:-}" != "$image" ]; then
  az acr import --name "$ARCBRIDGE_REGISTRY_NAME" --source "$ARCBRIDGE_RELAY_RELEASE" \
    --image "relay:${digest#sha256:}" --force
  azd env set ARCBRIDGE_RELAY_IMAGE "$image"
fi

if [ -z "${ARCBRIDGE_CA_CHAIN_BASE64:-}" ]; then
  : "${ARCBRIDGE_ROOT_DIRECTORY:?azd env set ARCBRIDGE_ROOT_DIRECTORY /a/medium/that/is/taken/offline}"
  .venv/bin/python infra/hooks/issuing_ca.py --vault "$ARCBRIDGE_VAULT_NAME" --root "$ARCBRIDGE_ROOT_DIRECTORY"
fi

if [ -n "${ARCBRIDGE_DATABASE_JOB:-}" ]; then
  infra/hooks/database.sh "$ARCBRIDGE_RESOURCE_GROUP" "$ARCBRIDGE_DATABASE_JOB" all
fi
