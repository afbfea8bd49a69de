import Keel
import Testing

@Suite struct MemoryPoolTests {
    /// Blocks of sizes from a few bytes to 3 MiB come and go at random: none overlaps another, and what is counted is what there is.
    @Test func blocksDoNotOverlapAndAreAccountedFor() throws {
        struct Block {
            let start: UnsafeMutableRawPointer
            let token, bytes: Int
            let mark: UInt8
        }
        let pool = MemoryPool()
        var generator = Philox(seed: 7), blocks: [Block] = []
        func check(_ block: Block) {
            let bytes = UnsafeRawBufferPointer(start: block.start, count: block.bytes)
            #expect([bytes.first, bytes[block.bytes / 2], bytes.last].allSatisfy { $0 == block.mark })
        }
        for round in 0..<3000 {
            if blocks.count > 40 || !blocks.isEmpty && generator.next() % 3 == 0 {
                let block = blocks.remove(at: Int(generator.next() % UInt64(blocks.count)))
                check(block)
                pool.deallocate(block.start, token: block.token)
            } else {
                let bytes = Int(generator.next() % (generator.next() % 2 == 0 ? 2000 : 3 << 20)) + 1, mark = UInt8(round % 251)
                let (start, token) = try pool.allocate(bytes)
                #expect(UInt(bitPattern: start) % 64 == 0)
                start.initializeMemory(as: UInt8.self, repeating: mark, count: bytes)
                blocks.append(Block(start: start, token: token, bytes: bytes, mark: mark))
            }
            #expect(pool.usedBytes >= blocks.reduce(0) { $0 + $1.bytes } && pool.cachedBytes >= 0)
        }
        for block in blocks {
            check(block)
            pool.deallocate(block.start, token: block.token)
        }
        #expect(pool.usedBytes == 0 && pool.cachedBytes > 0)
        pool.releaseCached()
        #expect(pool.cachedBytes == 0)
    }

    /// Two blocks that lie side by side make room for one that is as large as both, in the same place.
    @Test func freedNeighboursAreJoined() throws {
        let pool = MemoryPool(), size = 1 << 20
        let blocks = try (0..<4).map { _ in try pool.allocate(size) }
        for i in [1, 2] { pool.deallocate(blocks[i].0, token: blocks[i].token) }
        let both = try pool.allocate(2 * size)
        #expect(both.0 == min(blocks[1].0, blocks[2].0))
        for block in [blocks[0], blocks[3], both] { pool.deallocate(block.0, token: block.token) }
        #expect(pool.usedBytes == 0)
    }

    @Test func moreThanThereIsIsRefused() {
        let pool = MemoryPool()
        for bytes in [1 << 48, 1 << 60] { #expect(throws: TensorError.self) { try pool.allocate(bytes) } }
        #expect(pool.usedBytes == 0)
    }
}
