"""A transfer over Multipath TCP, one end each: run by the lab inside its hosts.

    transfer.py serve ADDRESS PORT            receive once, answer with size and hash
    transfer.py send ADDRESS PORT BYTES       send, compare the answer, print JSON

Prints one line of JSON: bytes, seconds, whole (the receiver's hash is ours).
"""

from __future__ import annotations

import hashlib
import json
import socket
import sys
import time

MPTCP = 262
PIECE = bytes(range(256)) * 256


def open_socket(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM, MPTCP)


def serve(address: str, port: int) -> None:
    with open_socket(address) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        print("listening", flush=True)
        connection, _ = listener.accept()
        with connection:
            digest, size = hashlib.sha256(), 0
            while piece := connection.recv(1 << 18):
                digest.update(piece)
                size += len(piece)
            connection.sendall(f"{size} {digest.hexdigest()}\n".encode())


def send(address: str, port: int, size: int) -> None:
    with open_socket(address) as connection:
        connection.connect((address, port))
        began = time.monotonic()
        digest, left = hashlib.sha256(), size
        while left:
            piece = PIECE[:left]
            digest.update(piece)
            connection.sendall(piece)
            left -= len(piece)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while more := connection.recv(200):
            answer += more
        seconds = time.monotonic() - began
    whole = answer.decode() == f"{size} {digest.hexdigest()}\n"
    print(json.dumps({"bytes": size, "seconds": seconds, "whole": whole}))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
