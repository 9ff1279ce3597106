"""Data-parallel training on several nodes: every rank has its share of the data, and gradients are averaged by TCP.

Rank 0 listens, the others connect. In each step every rank sends its gradient to rank 0 and gets the mean back, so all
take the same step and end with the same weights, which is checked. torch.distributed does the same over NCCL.
"""

import hashlib
import json
import os
import socket
import time
from pathlib import Path

import digits
import numpy as np

STEPS = 200
RATE = 0.5
PATIENCE_S = 30.0  # until the other ranks are there
ADDRESS = (os.environ.get("BARAY_MASTER_ADDR", "127.0.0.1"), int(os.environ.get("BARAY_MASTER_PORT", "29500")))


class Gang:
    """The connections between ranks: rank 0 has one to each other rank, the others have one to rank 0."""

    def __init__(self, rank: int, ranks: int) -> None:
        self.rank, self.ranks = rank, ranks
        self.peers = _accept(ranks - 1) if rank == 0 else [_connect()]

    def mean(self, mine: np.ndarray) -> np.ndarray:
        """The mean over all ranks, the same to the last bit on each of them."""
        if self.rank > 0:
            self.peers[0].sendall(mine.tobytes())
            return _receive(self.peers[0], mine)
        total = mine.copy()
        for peer in self.peers:
            total += _receive(peer, mine)
        total /= self.ranks
        for peer in self.peers:
            peer.sendall(total.tobytes())
        return total

    def same(self, mine: np.ndarray) -> bool:
        """Whether all ranks hold what rank 0 holds, bit for bit."""
        if self.rank > 0:
            same = np.array_equal(_receive(self.peers[0], mine), mine)
            self.peers[0].sendall(bytes([same]))
            return same
        for peer in self.peers:
            peer.sendall(mine.tobytes())
        answers = [peer.recv(1) for peer in self.peers]
        return all(answer == b"\x01" for answer in answers)


def _accept(count: int) -> list[socket.socket]:
    with socket.create_server(ADDRESS) as listener:
        listener.settimeout(PATIENCE_S)
        return [_ready(listener.accept()[0]) for _ in range(count)]


def _connect() -> socket.socket:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return _ready(socket.create_connection(ADDRESS, timeout=PATIENCE_S))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)  # rank 0 is not there yet


def _ready(peer: socket.socket) -> socket.socket:
    peer.settimeout(PATIENCE_S)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def _receive(peer: socket.socket, like: np.ndarray) -> np.ndarray:
    data = bytearray()
    while len(data) < like.nbytes:
        piece = peer.recv(like.nbytes - len(data))
        if not piece:
            raise SystemExit("another rank is gone")
        data += piece
    return np.frombuffer(data, like.dtype).reshape(like.shape)


def main() -> None:
    rank, ranks = int(os.environ.get("BARAY_RANK", "0")), int(os.environ.get("BARAY_NODES", "1"))
    pixels, labels, held_out, truth = digits.load()
    mine = slice(rank, None, ranks)
    gang = Gang(rank, ranks)
    weights = np.zeros((pixels.shape[1], digits.CLASSES))
    velocity = np.zeros_like(weights)
    for _ in range(STEPS):
        velocity = 0.9 * velocity - RATE * gang.mean(digits.gradient(weights, pixels[mine], labels[mine]))
        weights += velocity
    assert gang.same(weights), "the ranks ended with different weights"
    print(f"rank {rank} of {ranks}: {len(labels[mine])} digits, weights {hashlib.sha256(weights).hexdigest()[:12]}")
    if rank == 0:
        result = {"ranks": ranks, "steps": STEPS, "accuracy": digits.accuracy(weights, held_out, truth)}
        Path("results").mkdir(exist_ok=True)
        Path("results/gang.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(f"accuracy on {len(truth)} held-out digits: {result['accuracy']:.3f}")


if __name__ == "__main__":
    main()
