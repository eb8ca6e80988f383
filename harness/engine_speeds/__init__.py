"""How fast engines are: their peers, roofline bounds, memory, and whether times are comparable."""
