"""What is right for each kind of input, one file per family: ``PROBES`` by names of tasks."""
