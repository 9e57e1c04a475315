#!/usr/bin/env bash
# Starts Ray's head and the tracking server; the dashboard and MLflow listen on loopback alone.
set -euo pipefail
source "$(dirname "$0")/env.sh"

if [ -z "${RAY_AUTH_TOKEN:-}" ]; then
    test -s ~/.ray/auth_token || { echo "~/.ray/auth_token is missing: ray get-auth-token --generate" >&2; exit 1; }
    chmod 600 ~/.ray/auth_token
fi
ray stop
ulimit -n 65536 || true
# On machines of one's own Ray's newer autoscaler takes the head for one of the workers, and never
# starts the last of them.
if grep -qs '"type": "local"' ~/ray_bootstrap_config.yaml; then
    export RAY_enable_autoscaler_v2=0
fi
autoscaling=()
if [ -e ~/ray_bootstrap_config.yaml ]; then
    autoscaling=(--autoscaling-config="$HOME/ray_bootstrap_config.yaml")
fi
ray start --head --port=6379 --dashboard-host=127.0.0.1 --disable-usage-stats "${autoscaling[@]}"

bash "$(dirname "$0")/start_mlflow.sh"
