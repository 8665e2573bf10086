"""How batches are started, watched and cancelled: directly as processes, or by SLURM."""
