"""The engine `cluster`: an epoch as one kernel on a thread-block cluster, on GPUs from Hopper on."""
