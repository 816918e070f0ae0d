"""`python -m swatbench`."""

from swatbench.cli import main

if __name__ == "__main__":
    main()
