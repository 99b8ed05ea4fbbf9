"""Takes secrets out of command lines and texts before they are written down.

It errs on the safe side: an argument is hidden when its *name* is one under which secrets are passed,
or when its *value* has the form of a known kind of token. A harmless ``--eos-token`` may be hidden too.
"""

import re
from collections.abc import Sequence

HIDDEN = "[redacted]"

_SECRET_WORDS = frozenset(
    ("password", "passwd", "passphrase", "pwd", "secret", "secrets", "credential", "credentials", "apikey")
)
_SECRET_LAST_WORDS = frozenset(("token", "key", "auth", "authorization", "pat", "bearer"))
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_TOKEN = re.compile(
    r"""hf_[A-Za-z0-9]{16,} | (?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,} | gh[pousr]_[A-Za-z0-9]{20,}
      | github_pat_\w{20,} | gl(?:pat|ptt|rt)-[\w-]{16,} | xox[abeoprs]-[\w-]{10,} | npm_[A-Za-z0-9]{30,}
      | pypi-[\w-]{40,} | (?:AKIA|ASIA)[0-9A-Z]{16} | AIza[\w-]{35} | ya29\.[\w-]{20,}
      | eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)? | \b[0-9a-f]{40}\b
      | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----[\s\S]*""",
    re.VERBOSE,
)
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@")
_QUERY_SECRET = re.compile(
    r"(?i)([?&;](?:[\w.-]*(?:token|secret|password|passwd|signature|credential)|(?:api|access)?[-_]?key|sig)=)[^&;\s\"']+"
)
_BEARER = re.compile(r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{12,}")


def redact_text(text: str) -> str:
    """The text without the tokens and passwords that can be told by their form.

    >>> redact_text("clone https://ada:hunter2@host/x")
    'clone https://ada:[redacted]@host/x'
    """
    if len(text) < 8:
        return text
    text = _TOKEN.sub(HIDDEN, text)
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
        text = _QUERY_SECRET.sub(rf"\1{HIDDEN}", text)
    return _BEARER.sub(rf"\1{HIDDEN}", text)


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line without secrets: ``--token X``, ``--api-key=X``, ``wandb.key=X``, and tokens anywhere.

    >>> redact_arguments(["train.py", "--hub_token", "abc", "--lr=0.1"])
    ['train.py', '--hub_token', '[redacted]', '--lr=0.1']
    """
    safe: list[str] = []
    hide_next = False
    for argument in map(str, arguments):
        if hide_next and not argument.startswith("--"):
            safe.append(HIDDEN)
            hide_next = False
            continue
        name, equals, _ = argument.partition("=")
        secret = is_secret_name(name)
        hide_next = secret and not equals and argument.startswith("-")
        safe.append(f"{name}={HIDDEN}" if secret and equals else redact_text(argument))
    return safe


def is_secret_name(name: str) -> bool:
    """Whether secrets are passed under this name: ``--hf-token`` is one, ``--max-tokens`` is not."""
    words = [word.lower() for word in _WORDS.findall(name)]
    return bool(words) and (words[-1] in _SECRET_LAST_WORDS or not _SECRET_WORDS.isdisjoint(words))
