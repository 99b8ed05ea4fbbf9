"""Secrets do not reach the disk."""

import pytest

from losscope.recording.redaction import HIDDEN, is_secret_name, redact_arguments, redact_text

SECRET = "S3cr3tS3cr3tS3cr3t"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--token", SECRET],
        ["--hf_token", SECRET],
        ["-token", SECRET],
        ["--api-key=" + SECRET],
        ["--apiKey", SECRET],
        ["--API_KEY", SECRET],
        ["--wandb-key", SECRET],
        ["--password", SECRET],
        ["--db-password-file-content", SECRET],
        ["password=" + SECRET],
        ["+wandb.api_key=" + SECRET],
        ["--client-secret", SECRET],
        ["--auth", "-" + SECRET],
        ["https://ada:" + SECRET + "@host/x"],
        ["--url=https://:" + SECRET + "@host/x"],
        ["https://host/x?a=1&access_token=" + SECRET + "&b=2"],
        ["https://host/x?X-Amz-Signature=" + SECRET],
        ["--header", "Authorization: Bearer " + SECRET],
    ],
)
def test_secrets_are_hidden(arguments: list[str]) -> None:
    safe = redact_arguments(arguments)
    assert not any(SECRET in argument for argument in safe)
    assert any(HIDDEN in argument for argument in safe)
    assert len(safe) == len(arguments)


@pytest.mark.parametrize(
    "token",
    [
        "hf_" + "a" * 34,
        "sk-" + "b1" * 20,
        "sk-proj-" + "b1" * 20,
        "ghp_" + "c" * 36,
        "github_pat_" + "d" * 40,
        "glpat-" + "e" * 20,
        "xoxb-" + "1" * 20,
        "AKIA" + "ABCDEFGH12345678",
        "AIza" + "f" * 35,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.abc",
        "0123456789abcdef" * 2 + "01234567",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
    ],
)
def test_known_kinds_of_tokens_are_hidden_anywhere(token: str) -> None:
    assert token not in redact_text(f"failed with {token}")
    assert token not in " ".join(redact_arguments(["train.py", "--name", token]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["train.py", "--lr", "0.1", "--epochs=3"],
        ["--tokenizer", "gpt2", "--max-tokens", "512", "--keyboard", "x"],
        ["--token-dropout=0.1", "monkey", "--monkey", "7"],
        ["--resume", "/data/run-1234567890/model.pt", "", "--", "-1"],
        ["--url", "https://host:8080/path?batch=3"],
        ["--key-frame-rate", "3"],
    ],
)
def test_harmless_arguments_stay(arguments: list[str]) -> None:
    assert redact_arguments(arguments) == arguments


def test_a_flag_after_a_secret_flag_is_not_its_value() -> None:
    assert redact_arguments(["--token", "--verbose", "x"]) == ["--token", "--verbose", "x"]


def test_names() -> None:
    assert is_secret_name("--hubToken")
    assert not is_secret_name("train.py")
    assert not is_secret_name("")
