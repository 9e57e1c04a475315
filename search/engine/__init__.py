"""What runs on the driver: the study, who proposes, who prunes, and Ray that executes."""
