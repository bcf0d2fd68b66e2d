"""Proof that this machine gives the exported scores."""
