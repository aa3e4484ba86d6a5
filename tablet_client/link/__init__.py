"""The tablet's link to the services: a port, its gRPC adapter, a server in memory for tests, a session's keeper."""
