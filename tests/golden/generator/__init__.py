"""The golden cases' generator, in three parts: the world, the packets, the cases."""
