"""Philox 4x32-10 in Python's own numbers, for the scripts beside this one."""
def philox(seed, stream, position):
    c = [position & 0xFFFFFFFF, position >> 32, stream & 0xFFFFFFFF, stream >> 32]; k = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c[1] << 32 | c[0]

class Random:
    def __init__(self, seed, epoch): self.seed, self.epoch, self.at = seed, epoch, 0
    def next(self): self.at += 1; return philox(self.seed, self.epoch, self.at - 1)
    def unit(self): return (self.next() >> 11) / 2**53
    def shuffled(self, items):
        items = list(items)
        for last in range(len(items) - 1, 0, -1):
            j = self.next() * (last + 1) >> 64; items[last], items[j] = items[j], items[last]
        return items
