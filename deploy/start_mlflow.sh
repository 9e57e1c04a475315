#!/usr/bin/env bash
# Starts the tracking server on the head's loopback, unless it runs.
#   AFLORA_MLFLOW_STORE      where it records: SQLite by default, or postgresql+psycopg://user@host/database
#   AFLORA_MLFLOW_ARTIFACTS  where artifacts go, for example s3://bucket/mlflow
set -euo pipefail
source "$(dirname "$0")/env.sh"

mkdir -p ~/mlflow
# Its queue of jobs, which nothing here uses, would keep eight more processes.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
if ! (exec 3<>"/dev/tcp/127.0.0.1/$AFLORA_MLFLOW_PORT") 2>/dev/null; then
    nohup mlflow server --host 127.0.0.1 --port "$AFLORA_MLFLOW_PORT" --workers 1 \
        --backend-store-uri "${AFLORA_MLFLOW_STORE:-sqlite:///$HOME/mlflow/mlflow.db}" \
        --artifacts-destination "${AFLORA_MLFLOW_ARTIFACTS:-$HOME/mlflow/artifacts}" \
        >>~/mlflow/server.log 2>&1 </dev/null &
fi
