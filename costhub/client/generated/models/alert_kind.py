from enum import StrEnum


class AlertKind(StrEnum):
    ANOMALY = "anomaly"
    BILL = "bill"
    BUDGET = "budget"
    CHANNEL_FAILING = "channel_failing"
    CHANNEL_OFF = "channel_off"
    DRIFT = "drift"
    FORECAST = "forecast"
    KEY_EXPIRING = "key_expiring"
    LEARNED = "learned"
    METER = "meter"
    OVERRUN = "overrun"
    PAID_TWICE = "paid_twice"
    PRICE = "price"
    STRIPE_EVENT = "stripe_event"
    TAKEN_BACK = "taken_back"
    TOP_UP = "top_up"
    UNPRICED = "unpriced"
    UPSTREAM = "upstream"

    def __str__(self) -> str:
        return str(self.value)
