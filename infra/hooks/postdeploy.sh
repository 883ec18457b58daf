#!/usr/bin/env bash
# After a deployment: wait until the control plane says that it is ready, then contract the schema. Not before: until
# then the former release may still answer.
set -euo pipefail

curl --fail --silent --show-error --retry 30 --retry-delay 10 --retry-all-errors \
  "$ARCBRIDGE_CONTROL_PLANE_URL/api/health/ready"
echo
infra/hooks/database.sh "$ARCBRIDGE_RESOURCE_GROUP" "$ARCBRIDGE_DATABASE_JOB" post
echo "ArcBridge: $ARCBRIDGE_CONTROL_PLANE_URL   relay: $ARCBRIDGE_RELAY_ADDRESS"
