"""Seven optimizers over half decades of learning rate: what each attains, how soon, and how easily."""
