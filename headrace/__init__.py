"""Headrace, a streaming customer data platform: the kernel that services share, the engines and the command."""

__version__ = "0.1.0"
