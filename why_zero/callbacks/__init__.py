"""A probe inside other people's training loops: a file for each library, which it imports."""
