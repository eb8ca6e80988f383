"""The engine `cuda-graph`: all replicates in one step, many steps in one launch, on GPUs."""
