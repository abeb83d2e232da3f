"""SHVC, the scalable extension of HEVC: emulated by x265, or by the reference software SHM where a user has it."""
