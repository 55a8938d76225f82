"""Ways a message leaves: one port, one adapter per provider."""
