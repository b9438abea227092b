"""Retrieval authorization and data protection for RAG."""
