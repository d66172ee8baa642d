"""The command `minae`, before anything is imported: Ctrl-C while it starts is one line, as it is later."""

import os
import signal
import sys


def main():
    def stop(*_):
        os.write(2, b"minae: interrupted while it started\n")
        os._exit(130)

    signal.signal(signal.SIGINT, stop)
    from minae.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    return main()


if __name__ == "__main__":
    sys.exit(main())
