"""Messages made of messages."""

from losscope.core.text import LANGUAGES, Message, Text


def join(first: Message, *others: Message | None) -> Message:
    """Several messages as one, in every language. Placeholders are filled, since two may use the same names."""
    following = [message for message in others if message is not None]
    if not following:
        return first
    texts = {lang: "".join(message.render(lang) for message in (first, *following)) for lang in LANGUAGES}
    return Text(**{lang: text.replace("{", "{{").replace("}", "}}") for lang, text in texts.items()})()
