"""What was found, for people to read: a table for a terminal, and HTML."""
