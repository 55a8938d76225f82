"""What customers of a web shop do, as calls of a tracking SDK: the same for the same seed.

Few customers do much, most do little; half of them look around before they say who they are, some on two devices,
so that two profiles turn out to be one. What is known of somebody is told again and again and rarely changes.
"""

import random
from typing import Any

CATEGORIES = [f"category-{number}" for number in range(60)]
BRANDS = [f"brand-{number}" for number in range(40)]
CITIES = [f"city-{number}" for number in range(100)]
PLANS = ["free", "plus", "gold", "family", "student"]
EVENTS = {
    "Product Viewed": 40,
    "Product List Viewed": 12,
    "Products Searched": 8,
    "Product Clicked": 8,
    "Product Added": 7,
    "Cart Viewed": 4,
    "Product Removed": 2,
    "Checkout Started": 3,
    "Payment Info Entered": 2,
    "Order Completed": 2,
    "Coupon Applied": 1,
    "Product Reviewed": 1,
    "Wishlist Product Added": 2,
    "Promotion Viewed": 8,
}
_CONTEXT = {
    "library": {"name": "analytics.js", "version": "npm:next-1.84.3"},
    "page": {"path": "/shop", "url": "https://shop.example/shop", "title": "Shop", "referrer": ""},
    "locale": "cs-CZ",
    "timezone": "Europe/Prague",
}


class Shop:
    """A stream of calls; `call()` gives the next one."""

    def __init__(self, customers: int, seed: int = 1) -> None:
        self._customers = customers
        self._random = random.Random(seed)
        self._number = 0

    def call(self) -> dict[str, Any]:
        """A track (nine in ten) or an identify."""
        self._number += 1
        customer = int(self._customers * self._random.random() ** 3)
        known = customer % 2 == 0 or self._random.random() < 0.5
        device = "phone" if self._random.random() < 0.1 else "laptop"
        call: dict[str, Any] = {
            "messageId": f"5f2b8b2e-6f0e-4f6b-9d3e-{self._number:012d}",
            "anonymousId": f"{device}-{customer}",
            "userId": f"user-{customer}" if known else None,
            "context": _CONTEXT,
        }
        if self._random.random() < 0.1:
            return call | {"type": "identify", "traits": self._traits(customer) if known else {}}
        name = self._random.choices(list(EVENTS), list(EVENTS.values()))[0]
        return call | {"type": "track", "event": name, "properties": self._properties(name)}

    def _traits(self, customer: int) -> dict[str, Any]:
        return {
            "email": f"user-{customer}@shop.example",
            "city": CITIES[customer % len(CITIES)],
            "plan": self._random.choice(PLANS) if self._random.random() < 0.05 else PLANS[customer % len(PLANS)],
            "age": 18 + customer % 60,
            "newsletter": self._random.random() < 0.5,
        }

    def _properties(self, name: str) -> dict[str, Any]:
        if name == "Order Completed":
            products = [self._product() for _ in range(self._random.randint(1, 5))]
            total = round(sum(product["price"] * product["quantity"] for product in products), 2)
            return {"order_id": f"o-{self._number}", "total": total, "currency": "CZK", "products": products}
        return self._product() | {"currency": "CZK"}

    def _product(self) -> dict[str, Any]:
        return {
            "product_id": f"p-{self._random.randrange(5_000)}",
            "category": self._random.choice(CATEGORIES),
            "brand": self._random.choice(BRANDS),
            "price": round(self._random.uniform(5, 2_000), 2),
            "quantity": self._random.randint(1, 3),
        }
