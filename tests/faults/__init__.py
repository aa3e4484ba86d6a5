"""Storage fails, connections break and servers stop: users are told in a sentence, and nothing is lost or kept twice."""
