"""A typed client of the REST API, sync and async: the same requests, answers and errors as in process.

The application's own credential is given once; the person it asks for comes with each call. Nothing is kept between calls.
"""

from ragward.client.asynchronous import AsyncRagwardClient
from ragward.client.results import DocumentInfo, DocumentPage, JobInfo
from ragward.client.retrievers import AsyncRetriever, LocalRetriever, Retriever
from ragward.client.sync import RagwardClient

__all__ = [
    "AsyncRagwardClient",
    "AsyncRetriever",
    "DocumentInfo",
    "DocumentPage",
    "JobInfo",
    "LocalRetriever",
    "RagwardClient",
    "Retriever",
]
