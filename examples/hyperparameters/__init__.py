"""What the assignment leaves out: which batch size and epochs give the accuracies that it reports."""
