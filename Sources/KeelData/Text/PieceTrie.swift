/// Byte strings by their prefixes: the pieces of a vocabulary, found from any place of a text without copying.
struct PieceTrie: Sendable {
    static let root: UInt32 = 0
    private var children: [UInt64: UInt32] = [:]
    private var pieces: [Int32] = [-1]

    /// - Returns: whether the piece is new.
    mutating func insert(_ piece: some Sequence<UInt8>, _ id: Int) -> Bool {
        var node = PieceTrie.root
        for byte in piece {
            let key = UInt64(node) << 8 | UInt64(byte)
            if let next = children[key] {
                node = next
            } else {
                let next = UInt32(pieces.count)
                pieces.append(-1)
                children[key] = next
                node = next
            }
        }
        guard pieces[Int(node)] < 0 else { return false }
        pieces[Int(node)] = Int32(id)
        return true
    }

    func child(_ node: UInt32, _ byte: UInt8) -> UInt32? { children[UInt64(node) << 8 | UInt64(byte)] }

    func piece(_ node: UInt32) -> Int? {
        let id = pieces[Int(node)]
        return id < 0 ? nil : Int(id)
    }

    func node(of bytes: some Sequence<UInt8>) -> UInt32? {
        var node = PieceTrie.root
        for byte in bytes {
            guard let next = child(node, byte) else { return nil }
            node = next
        }
        return node
    }

    func id(of bytes: some Sequence<UInt8>) -> Int? { node(of: bytes).flatMap(piece) }

    /// The longest piece that begins at `start`, and where it ends; walked from `node`.
    func longest(in bytes: [UInt8], from start: Int, node: UInt32 = root) -> (id: Int, end: Int)? {
        var (node, at) = (node, start)
        var found: (id: Int, end: Int)?
        while at < bytes.count, let next = child(node, bytes[at]) {
            (node, at) = (next, at + 1)
            if let id = piece(node) { found = (id, at) }
        }
        return found
    }
}
