"""A text that every Python has: the Zen, decoded from the standard library without printing it."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    import this

text = "".join(this.d.get(c, c) for c in this.s) * 4
