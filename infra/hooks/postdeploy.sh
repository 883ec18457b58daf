#!/usr/bin/env bash
# After a deployment: wait until the control plane says that it is ready.
set -euo pipefail

curl --fail --silent --show-error --retry 30 --retry-delay 10 --retry-all-errors \
  "$ARCBRIDGE_CONTROL_PLANE_URL/api/health/ready"
echo
echo "ArcBridge: $ARCBRIDGE_CONTROL_PLANE_URL   relay: $ARCBRIDGE_RELAY_ADDRESS"
