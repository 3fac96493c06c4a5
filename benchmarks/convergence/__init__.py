"""Convergence benchmark: how much faster a network trains from an injected start than from a plain one."""
