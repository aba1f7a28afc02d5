# SPDX-License-Identifier: MIT
"""A program at a pseudo-terminal: keys go in, what a person sees comes out."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

PATIENCE = float(os.environ.get("SLM_TEST_PATIENCE", "60"))  # seconds;
# sanitizer builds on busy machines are slow
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Program:
    """stdin, stdout and stderr are one terminal."""

    def __init__(self, *argv, columns=80, rows=24, env=None, cwd=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            if cwd:
                os.chdir(cwd)
            os.execve(argv[0], list(argv), env or dict(os.environ))
        self.raw = b""
        self.seen = 0  # characters of text() that expect() went past
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def text(self):
        return self.raw.decode("utf-8", "replace")

    def plain(self):
        return ESCAPE.sub("", self.text())

    def read(self, seconds):
        """Takes what comes within so many seconds; False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # Linux: nobody has the other side open
            data = b""
        self.raw += data
        return bool(data)

    def send(self, keys):
        try:
            os.write(self.fd, keys.encode() if isinstance(keys, str) else keys)
        except OSError:  # it has ended
            pass

    def expect(self, *wanted):
        """Waits until each appears, in this order, after what was seen."""
        for one in wanted:
            end = time.monotonic() + PATIENCE
            while True:
                at = self.text().find(one, self.seen)
                if at >= 0:
                    self.seen = at + len(one)
                    break
                alive = self.read(0.5)
                if self.text().find(one, self.seen) < 0 and (
                        not alive or time.monotonic() > end):
                    raise AssertionError(
                        f"{one!r} did not come; there is "
                        f"{self.text()[self.seen:]!r} after "
                        f"{self.text()[:self.seen]!r}")
        return self

    def rest(self):
        """What came after the last thing expected, without waiting."""
        return self.text()[self.seen:]

    def exit_code(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                while select.select([self.fd], [], [], 0)[0]:
                    if not self.read(0):
                        break
                return self.status
        raise AssertionError("it does not end; " + repr(self.text()))
