"""Seven optimizers over half decades of learning rate, on two data sets: what each attains, and how easily."""
