"""Chunks at every 300 characters, at a space."""

from __future__ import annotations

from ragward.domain.corpus import Chunk


class FakeChunker:
    """`ports.Chunker`."""

    def __init__(self, size=300):
        self.size = size
        self.version = f"fake/{size}"

    def chunk(self, text):
        chunks, start = [], 0
        while start < len(text):
            end = min(start + self.size, len(text))
            if end < len(text):
                end = max(text.rfind(" ", start + 1, end), start + 1)
            if text[start:end].strip():
                chunks.append(
                    Chunk(ordinal=len(chunks), start=start, end=end, text=text[start:end])
                )
            start = end
        return chunks

    def count_tokens(self, text):
        return max(1, len(text) // 4)
