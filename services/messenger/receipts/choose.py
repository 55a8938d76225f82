"""The reader of each provider's callbacks."""

from collections.abc import Mapping

from services.messenger.receipts import bulkgate, mail, twilio, whatsapp
from services.messenger.receipts.port import Reader

READERS: Mapping[str, Reader] = {
    "twilio": twilio.read,
    "bulkgate": bulkgate.read,
    "whatsapp": whatsapp.read,
    "email": mail.read,
}
