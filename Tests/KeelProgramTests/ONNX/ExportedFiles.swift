import KeelProgram
import KeelProgramTestSupport
import Testing

/// Only where a folder for them is asked for.
@Test(.enabled(if: ExportFolder() != nil), arguments: tracedNetworks + tracedLayers)
func exportsAreWritten(_ network: TracedNetwork) throws {
    let program = try Program.trace(network.make(), inputs: network.inputs)
    try ExportFolder()?.write(program, as: network.description) { set in
        try network.sample(batch: 1 + set % 4, time: 3 + set % 5, seed: UInt64(set))
    }
}

@Test(.enabled(if: ExportFolder() != nil), arguments: quantisedNetworks.indices)
func quantisedNetworksAreWritten(_ place: Int) throws {
    let (program, network) = try quantised(place)
    try ExportFolder()?.write(program, as: network.description) { set in
        try network.sample(batch: 1 + set % 4, time: 3 + set % 5, seed: UInt64(set))
    }
}
