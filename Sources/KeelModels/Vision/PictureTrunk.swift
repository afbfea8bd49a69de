public import Keel
public import KeelNN

/// The part of a picture network that others build upon: it gives what the head reads, `[batch, channels]`, or maps for networks that say
/// where things are.
public protocol PictureTrunk: Layer {
    /// The channels of the maps.
    var mapChannels: [Int] { get }
    /// Maps 1/4, 1/8, 1/16 and 1/32 as high and wide as the pictures.
    func maps(_ images: Tensor, in context: Context) throws(TensorError) -> [Tensor]
}
