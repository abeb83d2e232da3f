"""The commands of `layered`, one file each; what is slow to import is imported when a command runs."""
