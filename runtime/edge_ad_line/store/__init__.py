"""What the line knows, on disk: results, images, messages to send, reviews, and who did what."""

from edge_ad_line.store.outbox import Message
from edge_ad_line.store.store import Store

__all__ = ["Message", "Store"]
