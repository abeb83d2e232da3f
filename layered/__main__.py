"""`python -m layered` is the command line."""

from layered.cli import main

if __name__ == "__main__":
    main()
