"""Whether and how a program can be made to use Multipath TCP."""
