"""`python -m ragward`."""

from ragward.cli.main import main

if __name__ == "__main__":
    main()
