"""What layered codecs are compared with, all behind one protocol."""
