"""Which network is registered, the gates it must pass, and its model card."""
