#!/usr/bin/env bash
# After Azure was changed: the relay's image into the registry, the issuing key certified, the schema expanded.
# What has been done is left out or finds nothing to do; the next `azd provision` takes up what the steps set.
set -euo pipefail

digest=${ARCBRIDGE_RELAY_RELEASE##*@}
image=$ARCBRIDGE_REGISTRY_SERVER/relay@$digest
if [ "${ARCBRIDGE_DATABASE_IMAGE:-}" != "$image" ]; then
  az acr import --name "$ARCBRIDGE_REGISTRY_NAME" --source "$ARCBRIDGE_RELAY_RELEASE" \
    --image "relay:${digest#sha256:}" --force
  azd env set ARCBRIDGE_DATABASE_IMAGE "$image"
fi

if [ -z "${ARCBRIDGE_CA_CHAIN_BASE64:-}" ]; then
  : "${ARCBRIDGE_ROOT_DIRECTORY:?azd env set ARCBRIDGE_ROOT_DIRECTORY /a/medium/that/is/taken/offline}"
  .venv/bin/python infra/hooks/issuing_ca.py --vault "$ARCBRIDGE_VAULT_NAME" --root "$ARCBRIDGE_ROOT_DIRECTORY"
fi

# The schema first, expanded by the image that is about to run; then the next provision may start relays of it, and the
# control plane follows. What the former release still needs is taken away after that: see postdeploy.sh.
if [ -n "${ARCBRIDGE_DATABASE_JOB:-}" ]; then
  infra/hooks/database.sh "$ARCBRIDGE_RESOURCE_GROUP" "$ARCBRIDGE_DATABASE_JOB" pre "$image"
  azd env set ARCBRIDGE_RELAY_IMAGE "$image"
fi
