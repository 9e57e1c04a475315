"""What runs on a worker: data, backbone, methods, training, the ledger of what it cost."""
