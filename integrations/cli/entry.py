"""The entry point of the installed command. It imports no other module of ours at first: until
main.py handles Ctrl-C, the signal ends the process without a traceback.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    from stepwell.integrations.cli import main as command

    command.main()
