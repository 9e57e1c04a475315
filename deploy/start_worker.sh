#!/usr/bin/env bash
# Joins the head, whose address Ray's launcher gives in RAY_HEAD_IP.
set -euo pipefail
source "$(dirname "$0")/env.sh"

ray stop
ulimit -n 65536 || true
ray start --address="${RAY_HEAD_IP:?the launcher sets it}:6379" --disable-usage-stats
