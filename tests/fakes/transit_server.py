"""A transit engine over HTTP, as Vault's API documentation describes what we call: keys, encrypt, decrypt, deletion."""

from __future__ import annotations

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "s.test-token"


class TransitServer:
    """`url` until `close`; `sealed` makes it answer 503 as a sealed Vault does."""

    def __init__(self):
        self.keys, self.calls, self.sealed = {}, [], False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                status, answer = outer.answer(
                    self.command, self.path, self.headers.get("X-Vault-Token"), body
                )
                data = json.dumps(answer).encode() if answer is not None else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names are http.server's

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method, path, token, body):
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != TOKEN:
            return 403, {"errors": ["permission denied"]}
        *_, version, mount, act, name = path.removesuffix("/config").split("/")
        assert (version, mount) == ("v1", "transit")
        self.calls.append((method, act, name))
        if act == "keys":
            return self._key(method, name, path.endswith("/config"), body)
        if name not in self.keys:
            return 400, {"errors": ["encryption key not found"]}
        key = self.keys[name]["key"]
        associated = base64.b64decode(body.get("associated_data", ""))
        if act == "encrypt":
            assert body["key_version"] == 1
            nonce = os.urandom(12)
            data = AESGCM(key).encrypt(nonce, base64.b64decode(body["plaintext"]), associated)
            return 200, {
                "data": {"ciphertext": "vault:v1:" + base64.b64encode(nonce + data).decode()}
            }
        if not body["ciphertext"].startswith("vault:v1:"):
            return 400, {"errors": ["invalid ciphertext: no prefix"]}
        data = base64.b64decode(body["ciphertext"].removeprefix("vault:v1:"))
        try:
            plaintext = AESGCM(key).decrypt(data[:12], data[12:], associated)
        except InvalidTag:
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": base64.b64encode(plaintext).decode()}}

    def _key(self, method, name, is_config, body):
        if method == "POST" and is_config:
            self.keys[name]["deletable"] = body["deletion_allowed"]
            return 204, None
        if method == "POST":
            assert body["type"] == "aes256-gcm96"
            assert body["exportable"] is False
            self.keys.setdefault(name, {"key": os.urandom(32), "deletable": False})
            return 204, None
        if name not in self.keys:
            return 404, {"errors": []}
        if method == "GET":
            return 200, {"data": {"name": name}}
        if not self.keys[name]["deletable"]:
            return 400, {"errors": ["deletion is not allowed for this key"]}
        del self.keys[name]
        return 204, None
