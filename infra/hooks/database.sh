#!/usr/bin/env bash
# Prepares the database by the job inside the network, and waits for it: database.sh GROUP JOB pre|post|all [IMAGE]
set -euo pipefail

group=$1 job=$2 phase=$3 image=${4:-}
if [ -n "$image" ]; then
  az containerapp job update --resource-group "$group" --name "$job" --image "$image" --output none
fi
az containerapp job update --resource-group "$group" --name "$job" --args="--phase=$phase" --output none
run=$(az containerapp job start --resource-group "$group" --name "$job" --query name --output tsv)
for _ in $(seq 90); do
  state=$(az containerapp job execution show --resource-group "$group" --name "$job" \
    --job-execution-name "$run" --query properties.status --output tsv)
  case $state in
    Succeeded) echo "the database is prepared ($phase, $run)"; exit 0 ;;
    Failed | Stopped | Degraded) echo "$run ended as $state: see its log" >&2; exit 1 ;;
  esac
  sleep 10
done
echo "$run has not ended in 15 minutes" >&2
exit 1
