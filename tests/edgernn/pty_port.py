"""A serial port of this computer, whose other end is in the test."""

import os
import pty
import select
import threading
import tty


class Pty:
    """A serial port whose other end is a line."""

    def __init__(self, line):
        self.line = line
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.name = os.ttyname(self.slave)
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=f) for f in (self._down, self._up)]
        for thread in self._threads:
            thread.start()

    def _down(self):
        while not self._ends.is_set():
            if select.select([self.master], [], [], 0.05)[0]:
                self.line.write(os.read(self.master, 4096))

    def _up(self):
        while not self._ends.is_set():
            data = self.line.receive(0.05)
            if data:
                os.write(self.master, data)

    def close(self):
        self._ends.set()
        for thread in self._threads:
            thread.join()
        self.line.close()
        os.close(self.master)
        os.close(self.slave)
