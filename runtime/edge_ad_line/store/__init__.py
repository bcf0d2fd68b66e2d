"""What the line knows, on disk: results, images, messages to send, reviews, and who did what."""

from edge_ad_line.store.store import Message, Store

__all__ = ["Message", "Store"]
