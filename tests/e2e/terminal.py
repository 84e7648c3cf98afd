"""A shell on a pseudo-terminal, as a person has one: what is typed, and what is shown then."""

import os
import pty
import re
import select
import time


class Terminal:
    def __init__(self, argv, env=None):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execvpe(argv[0], argv, dict(os.environ, TERM="dumb", COLUMNS="200", LINES="60", **(env or {})))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, pattern, timeout=15):
        """What is shown up to a match of the pattern, and that match; None after the timeout."""
        shown, end = "", time.monotonic() + timeout
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                shown += os.read(self.fd, 65536).decode(errors="replace")
                if re.search(pattern, shown):
                    return shown
        return shown
