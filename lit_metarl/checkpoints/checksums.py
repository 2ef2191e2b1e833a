"""Checksums, to verify files."""

from __future__ import annotations

import hashlib

CHECKSUM_DIGITS = 12  # of a checksum in a file's name


def checksum(content: bytes) -> str:
    """SHA-256, the strongest of the fast ones where processors compute it in hardware."""
    return hashlib.sha256(content).hexdigest()
