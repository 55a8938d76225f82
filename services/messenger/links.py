"""The links that we put into messages, and what their tokens name. Pure."""

from dataclasses import dataclass

from services.messenger.tokens import Keyring


@dataclass(frozen=True, slots=True)
class PublicLinks:
    """`public_url` is where customers reach the messenger, without a slash at its end."""

    public_url: str
    keyring: Keyring

    def unsubscribe(self, message_id: str) -> str:
        return f"{self.public_url}/u/{self.keyring.sign('unsubscribe', message_id)}"

    def preferences(self, message_id: str) -> str:
        return f"{self.public_url}/p/{self.keyring.sign('preferences', message_id)}"

    def open(self, message_id: str) -> str:
        """The pixel's address."""
        return f"{self.public_url}/o/{self.keyring.sign('open', message_id)}.gif"

    def click(self, message_id: str, number: int) -> str:
        """The address that leads to link `number` (from 1) of the message."""
        return f"{self.public_url}/c/{self.keyring.sign('click', f'{message_id}-{number}')}"

    def clicked(self, token: str) -> tuple[str, int] | None:
        """Message and link number of a token that we signed for clicks, else None."""
        named = self.keyring.verify("click", token)
        if named is None:
            return None
        message_id, _, number = named.rpartition("-")
        return message_id, int(number)

    def is_ours(self, target: str) -> bool:
        """Whether the address is one of the above."""
        own = self.public_url.lower()
        return target.lower().startswith(tuple(f"{own}/{kind}/" for kind in "upco"))
