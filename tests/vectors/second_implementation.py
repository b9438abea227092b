"""The blob format once more, from the specification alone, sharing nothing with the adapter: HMAC, AES and GHASH by hand.

Slow and simple on purpose. Sources: https://c2sp.org/chunked-encryption, RFC 5869, NIST SP 800-38D.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def hkdf_expand_sha512(prk, info, length):
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), hashlib.sha512)
        out += block
        counter += 1
    return out[:length]


def aes(key, block):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def ghash(h, data):
    y = 0
    for i in range(0, len(data), 16):
        y = multiplied(y ^ int.from_bytes(data[i : i + 16], "big"), h)
    return y.to_bytes(16, "big")


def multiplied(x, y):
    z, v = 0, x
    for i in range(127, -1, -1):
        if (y >> i) & 1:
            z ^= v
        v = (v >> 1) ^ (0xE1 << 120 if v & 1 else 0)
    return z


def padded(data):
    return data + bytes(-len(data) % 16)


def gcm(key, nonce, plaintext, aad):
    counter = int.from_bytes(nonce + b"\0\0\0\1", "big")
    stream = b"".join(
        aes(key, (counter + 1 + i).to_bytes(16, "big")) for i in range((len(plaintext) + 15) // 16)
    )
    ciphertext = bytes(a ^ b for a, b in zip(plaintext, stream, strict=False))
    h = int.from_bytes(aes(key, bytes(16)), "big")
    lengths = struct.pack(">QQ", len(aad) * 8, len(ciphertext) * 8)
    s = ghash(h, padded(aad) + padded(ciphertext) + lengths)
    tag = bytes(a ^ b for a, b in zip(s, aes(key, nonce + b"\0\0\0\1"), strict=True))
    return ciphertext + tag


def blob(*, dek, dek_id, salt, plaintext, encrypted, kind, tenant, document, chunk, revision):
    """The bytes of a blob, for the same inputs the adapter takes."""
    header = b"RGW1" + bytes([1 if encrypted else 2, kind, 0, 0]) + dek_id
    context = b"ragward.blob.v1\0"
    for part in (header, tenant.encode(), document.encode(), chunk.encode()):
        context += len(part).to_bytes(2, "big") + part
    context += b"\0\x09" + bytes([kind]) + revision.to_bytes(8, "big")
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
    if kind == 3:  # vectors have a key of their own
        dek = hkdf_expand_sha512(dek, b"ragward.purpose.v1\0vector", 32)
    derived = hkdf_expand_sha512(dek, info, 76)
    key, base, commitment = derived[:32], derived[32:44], derived[44:]
    if not encrypted:
        return header + salt + commitment + plaintext + gcm(key, base, b"", plaintext)
    body, index, rest = b"", 0, plaintext
    while True:
        nonce = (int.from_bytes(base, "big") ^ index).to_bytes(12, "big")
        body += gcm(key, nonce, rest[:16384], b"")
        if len(rest) < 16384:
            return header + salt + commitment + body
        rest, index = rest[16384:], index + 1


def wrapped_dek(*, kek, nonce, dek, tenant, kek_id, kek_version, dek_id, document, version, label):
    """The 60 bytes of a wrapped DEK."""
    aad = b"ragward.dek.v1\0"
    for part in (tenant.encode(), kek_id.encode(), dek_id.encode(), document.encode(), label):
        aad += len(part).to_bytes(2, "big") + part
    aad += kek_version.to_bytes(4, "big") + version.to_bytes(8, "big")
    return nonce + gcm(kek, nonce, dek, aad)


def inverse(x):
    """1/x in GCM's field: x to the 2^128 - 2."""
    out = 1 << 127  # one, in GCM's order of bits
    for _ in range(127):
        x = multiplied(x, x)
        out = multiplied(out, x)
    return out


def two_key_ciphertext(first, second):
    """(ciphertext, tag) that AES-GCM opens under both (key, nonce) pairs: two blocks, the second solved for.

    The tags are equal where c1 (H1^2 + H2^2) = c0 (H1^3 + H2^3) + L (H1 + H2) + S1 + S2 in GF(2^128).
    """
    hashes, masks = [], []
    for key, nonce in (first, second):
        hashes.append(int.from_bytes(aes(key, bytes(16)), "big"))
        masks.append(int.from_bytes(aes(key, nonce + b"\0\0\0\1"), "big"))
    lengths = 256
    squares = [multiplied(h, h) for h in hashes]
    cubes = [multiplied(s, h) for s, h in zip(squares, hashes, strict=True)]
    c0 = int.from_bytes(b"any first block!", "big")
    right = multiplied(c0, cubes[0] ^ cubes[1]) ^ multiplied(lengths, hashes[0] ^ hashes[1])
    c1 = multiplied(right ^ masks[0] ^ masks[1], inverse(squares[0] ^ squares[1]))
    ciphertext = c0.to_bytes(16, "big") + c1.to_bytes(16, "big")
    h = hashes[0].to_bytes(16, "big")
    s = ghash(int.from_bytes(h, "big"), ciphertext + struct.pack(">QQ", 0, lengths))
    tag = int.from_bytes(s, "big") ^ masks[0]
    return ciphertext, tag.to_bytes(16, "big")
