"""Commands that make the figures of the documentation again, each with its raw record."""
