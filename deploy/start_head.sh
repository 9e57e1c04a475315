#!/usr/bin/env bash
# Starts Ray's head and the tracking server; the dashboard and MLflow listen on loopback alone.
set -euo pipefail
source "$(dirname "$0")/env.sh"

test -s ~/.ray/auth_token || { echo "~/.ray/auth_token is missing: ray get-auth-token --generate" >&2; exit 1; }
chmod 600 ~/.ray/auth_token
ray stop
ulimit -n 65536 || true
autoscaling=()
if [ -e ~/ray_bootstrap_config.yaml ]; then
    autoscaling=(--autoscaling-config="$HOME/ray_bootstrap_config.yaml")
fi
ray start --head --port=6379 --dashboard-host=127.0.0.1 --disable-usage-stats "${autoscaling[@]}"

mkdir -p ~/mlflow
if ! (exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null; then
    nohup mlflow server --host 127.0.0.1 --port 5000 \
        --backend-store-uri "${AFLORA_MLFLOW_STORE:-sqlite:///$HOME/mlflow/mlflow.db}" \
        --artifacts-destination "${AFLORA_MLFLOW_ARTIFACTS:-$HOME/mlflow/artifacts}" \
        >~/mlflow/server.log 2>&1 </dev/null &
fi
