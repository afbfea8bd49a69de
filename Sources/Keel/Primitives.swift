/// Every primitive of Keel: the one list. Tests and the ONNX importer read it, and dispatch checks in debug builds that what it
/// runs is in it.
package let primitives: [any Primitive.Type] = [
    // Arithmetic
    Add.self, Subtract.self, Multiply.self, Divide.self, Power.self, Maximum.self, Minimum.self, Scale.self, DivideBySize.self,
    Negate.self,
    // Functions
    Exp.self, Log.self, Sqrt.self, Abs.self, Sign.self, Reciprocal.self, Erf.self, Arctangent.self, Clip.self, ClipGradient.self,
    Expm1.self, Log1p.self, Sine.self, Cosine.self, HyperbolicSine.self, HyperbolicCosine.self, Arctangent2.self, Floor.self, Ceil.self,
    Round.self, Truncate.self, Remainder.self,
    // Activations
    Relu.self, ReluGradient.self, LeakyRelu.self, LeakyReluGradient.self, Tanh.self, TanhGradient.self, Sigmoid.self,
    SigmoidGradient.self, Silu.self, SiluGradient.self, Gelu.self, GeluGradient.self, GeluTanh.self,
    ElementwiseChain.self, FakeQuantised.self,
    // Comparisons
    Compare.self, Select.self,
    // Views and moves
    Identity.self, Move.self, Contiguous.self, Reshape.self, Permute.self, Expand.self, Slice.self, Unslice.self, Concatenate.self, Cast.self,
    Flip.self, Split.self, Pad.self, Unpad.self,
    // Reductions
    Sum.self, Mean.self, Max.self, Min.self, ArgExtreme.self, Norm.self,
    // Products and pictures
    MatMul.self, Affine.self, ActivatedAffine.self, QuantisedAffine.self, ByteWeightAffine.self, Conv2D.self, RectifiedConv2D.self, ConvolutionChain.self, QuantisedConv2D.self, Conv2DInputGradient.self, Conv2DWeightGradient.self, MaxPool2D.self, MaxPool2DGradient.self,
    MaxPool2DPick.self, AveragePool2D.self, AveragePool2DGradient.self,
    AdaptiveMaxPool2D.self, Resize.self, ResizeGradient.self, RegionAlign.self, RegionAlignGradient.self, NonMaximumSuppression.self,
    // Normalisation
    BatchNorm.self, BatchNormGradient.self, ChannelAffine.self, RunningStatistic.self, LayerNorm.self, LayerNormGradient.self,
    GroupNorm.self, GroupNormGradient.self, RMSNorm.self, RMSNormGradient.self,
    Softmax.self, SoftmaxGradient.self, LogSoftmax.self, LogSoftmaxGradient.self,
    // Sequences
    LSTM.self, LSTMGradient.self, GRU.self, GRUGradient.self, QuantisedRecurrent.self, Attention.self, AttentionGradient.self, TemporalConv.self, TemporalConvWeightGradient.self,
    // Indexing
    Gather.self, ByteTable.self, ScatterAdd.self, OneHot.self, TakeAlong.self, Scatter.self, NonZero.self,
    // Orders and running sums
    TopK.self, CumulativeSum.self, CumulativeExtreme.self, LinearRecurrence.self,
    // Linear algebra
    Cholesky.self, TriangularSolve.self, Solve.self, Determinant.self, LogDeterminant.self, QR.self, SVD.self, SymmetricEigen.self,
    Eigenvalues.self,
    // Signals
    FFT.self, RealFFT.self, InverseRealFFT.self, Frames.self, OverlapAdd.self,
    // Losses, dropout
    SoftmaxCrossEntropy.self, SoftmaxCrossEntropyGradient.self, LogisticLoss.self, CTCLoss.self, CRFLogPartition.self, Viterbi.self, Dropout.self,
    // State updates
    Accumulate.self, Assign.self, ScaleInPlace.self, SGDStep.self, AdamStep.self, LazyAdamStep.self,
    AdagradStep.self, RMSpropStep.self, LAMBStep.self,
]
