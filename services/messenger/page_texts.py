"""What the pages of unsubscribing and of preferences say, by language. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

DEFAULT_LANGUAGE = "en"


class Texts(NamedTuple):
    """Pairs are a title and a sentence. `{topic}` stands for a topic's name."""

    not_valid: tuple[str, str]
    unsubscribe: tuple[str, str]
    unsubscribe_button: str
    only_topic: str
    only_topic_button: str
    unsubscribed: tuple[str, str]
    topic_left: tuple[str, str]
    to_preferences: str
    preferences: str
    saved: str
    stopped: str
    channels: str
    channels_help: str
    topics: str
    monthly: str
    monthly_help: str
    monthly_wrong: str
    preferred: str
    no_preferred: str
    save: str
    stop: tuple[str, str]
    stop_button: str
    channel_names: Mapping[str, str]


_CHANNELS = {"viber": "Viber", "whatsapp": "WhatsApp"}
TEXTS: Mapping[str, Texts] = {
    "en": Texts(
        not_valid=("This link is not valid", "Please use the link in the latest message you got."),
        unsubscribe=("Unsubscribe?", "You will get no more marketing messages at this address."),
        unsubscribe_button="Unsubscribe",
        only_topic="Or leave out only messages about “{topic}”; the others keep coming.",
        only_topic_button="Only this topic",
        unsubscribed=("You are unsubscribed", "You will get no more marketing messages at this address."),
        topic_left=("Saved", "You will get no more messages about “{topic}”."),
        to_preferences="Choose what we write to you about, and how often",
        preferences="How may we write to you?",
        saved="Your choice has been saved and holds from now on.",
        stopped="You will get no more messages from us.",
        channels="Where we may write to you",
        channels_help="By ticking a channel you agree to news and offers there.",
        topics="What about",
        monthly="At most how many messages within 30 days",
        monthly_help="Leave it empty for no limit.",
        monthly_wrong="Please write a whole number from 0 to 1000, or nothing.",
        preferred="Which channel do you like best?",
        no_preferred="Any of them",
        save="Save",
        stop=("Stop everything", "You will get no more messages from us, on any channel."),
        stop_button="Stop everything",
        channel_names={"email": "E-mail", "sms": "Text message (SMS)", **_CHANNELS},
    ),
    "cs": Texts(
        not_valid=("Tento odkaz neplatí", "Použijte prosím odkaz z poslední zprávy, kterou jste dostali."),
        unsubscribe=("Odhlásit se?", "Na tuto adresu už nedostanete žádné obchodní zprávy."),
        unsubscribe_button="Odhlásit se",
        only_topic="Nebo vynechte jen zprávy na téma „{topic}“; ostatní budou chodit dál.",
        only_topic_button="Jen toto téma",
        unsubscribed=("Jste odhlášeni", "Na tuto adresu už nedostanete žádné obchodní zprávy."),
        topic_left=("Uloženo", "Zprávy na téma „{topic}“ už nedostanete."),
        to_preferences="Vyberte si, o čem a jak často vám píšeme",
        preferences="Jak vám smíme psát?",
        saved="Vaši volbu jsme uložili, platí od této chvíle.",
        stopped="Už od nás nedostanete žádné zprávy.",
        channels="Kam vám smíme psát",
        channels_help="Zaškrtnutím souhlasíte s novinkami a nabídkami na tomto kanálu.",
        topics="O čem",
        monthly="Nejvýše kolik zpráv za 30 dní",
        monthly_help="Nechte prázdné, pokud nechcete omezení.",
        monthly_wrong="Napište prosím celé číslo od 0 do 1000, nebo nic.",
        preferred="Který kanál máte nejraději?",
        no_preferred="Kterýkoli",
        save="Uložit",
        stop=("Zrušit vše", "Nedostanete od nás už žádné zprávy, na žádném kanálu."),
        stop_button="Zrušit vše",
        channel_names={"email": "E-mail", "sms": "Textová zpráva (SMS)", **_CHANNELS},
    ),
}
