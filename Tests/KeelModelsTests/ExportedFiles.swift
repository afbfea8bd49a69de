import Foundation
import Keel
import KeelModels
import KeelProgram
import KeelProgramTestSupport
import Testing

/// Only where a folder for them is asked for. Small networks of each type, by all opsets.
@Test(.enabled(if: ExportFolder() != nil), arguments: tinyNetworks)
func typesAreWritten(_ tiny: TinyNetwork) throws {
    try ExportFolder()?.write(ExportedNetwork(tiny), as: "\(tiny.testDescription), small", opsets: [13, 17, 21])
}

/// Networks with more parameters are as others of their type, only wider or longer.
private let mostParameters = ProcessInfo.processInfo.environment["KEEL_EXPORTS_PARAMETERS"].flatMap { Int($0) } ?? 100_000_000

/// Only where a folder for them is asked for: networks as they were published, but for what they are given, which is small.
@Test(.enabled(if: ExportFolder() != nil), .serialized, arguments: NamedNetwork.all.filter { $0.parameters <= mostParameters }.map(\.name))
func namedNetworksAreWritten(_ name: String) throws {
    try ExportFolder()?.write(ExportedNetwork(NamedNetwork(name)), as: name, opsets: [17])
}

extension ExportFolder {
    fileprivate func write(_ network: ExportedNetwork, as name: String, opsets: [Int]) throws {
        try write(network.program(network.forward()), as: name, opsets: opsets) { set in
            try network.sample(batch: 1 + set % 3, time: 5 + set % 5, seed: UInt64(set))
        }
    }
}

extension ExportedNetwork {
    /// With pictures of as few pixels as it takes.
    fileprivate init(_ entry: NamedNetwork) {
        let inputs = entry.inputs.map { port in
            var shape = port.spec.shape
            if shape.rank == 4, shape[3].number ?? 0 >= 224, entry.type != "VisionTransformer" {
                let side = Dimension(entry.area == .detection ? 128 : 64)
                (shape[2], shape[3]) = (side, side)
            }
            return (name: port.name, spec: TensorSpec(shape, port.spec.dtype))
        }
        // Each network has more categories than this in each of its columns together.
        self.init(name: entry.name, entry: entry, inputs: inputs, categories: inputs.map { _ in 200 }) {
            var generator = Philox(seed: 1)
            return try entry.make(using: &generator)
        }
    }
}
