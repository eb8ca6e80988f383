"""How fast engines are: their peers, the hardware's bound, memory, and whether times compare."""
