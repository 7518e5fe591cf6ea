"""``python -m inceptioncli``."""

from inceptioncli.cli import main

if __name__ == "__main__":
    main()
