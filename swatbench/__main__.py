"""`python -m swatbench`, and the command `swatbench`."""

import signal

if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    # Ctrl-C while modules are loaded ends the program at once, as SIGTERM does, and not with a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from swatbench.cli import main

if __name__ == "__main__":
    main()
