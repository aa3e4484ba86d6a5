"""Crash trials: tablets draw while they, servers and the store are killed, and nothing acknowledged may be lost.

A trial has two tablets with the real journal and connection, each on an annotation of its own, and a server with the real
services. What is killed is killed by SIGKILL: a writer at one of the store's failpoints, in the midst of a write, or anyone
at a random moment. It comes back, until both tablets have drawn their scripts and saved masks. Then the store is read.

Processes are forked from one that has everything loaded, so that a life of a server costs a part of a second. One that is
killed leaves to the operating system what it has written: these trials do not show what a power failure does.
"""
