# What everything that starts on a node needs; sourced, not run.
AFLORA_HOME="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
AFLORA_VENV="${AFLORA_VENV:-$HOME/aflora-venv}"
export PATH="$AFLORA_VENV/bin:$PATH"

# Every connection needs the token in ~/.ray/auth_token, which cluster files mount.
export RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0
# Ray's metrics exporters would listen on all interfaces and ask for no token: they stay off.
export RAY_enable_metrics_collection=0
export AUTOSCALER_METRIC_PORT=-1
export DASHBOARD_METRIC_PORT=-1
# Where searches keep checkpoints unless their space or --storage says so: all nodes must reach it.
export AFLORA_STORAGE="${AFLORA_STORAGE:-}" # YOURS, s3://YOUR-BUCKET/runs
# The tracking server that the head runs, on its loopback.
AFLORA_MLFLOW_PORT="${AFLORA_MLFLOW_PORT:-5000}"
export MLFLOW_TRACKING_URI="${MLFLOW_TRACKING_URI:-http://127.0.0.1:$AFLORA_MLFLOW_PORT}"
