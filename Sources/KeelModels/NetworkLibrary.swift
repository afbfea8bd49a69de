extension NamedNetwork {
    /// Every network of the library.
    public static let all: [NamedNetwork] = [
        // Pictures
        ResNet.named, ThinResNet.named, MobileNetV2.named, MobileNetV3.named, EfficientNetLite.named, ConvNeXt.named, VisionTransformer.named,
        // Where things are in them
        UNet.named, DeepLabV3Plus<ResNet.Trunk>.named, DeepLabV3Plus<MobileNetV2.Trunk>.named, FCOS<ResNet.Trunk>.named,
        // Text
        TextCNN.named, BiLSTM.named, BiLSTMCRF.named, BERT.named, GPT.named, RecurrentSeq2Seq.named, TransformerSeq2Seq.named,
        // What people choose
        WideAndDeep.named, DeepFM.named, DCNv2.named, DIN.named, TwoTower.named, NeuralCollaborativeFiltering.named,
        // Tables, series
        TableMLP.named, TableResNet.named, FTTransformer.named,
        LSTMForecaster.named, TCNForecaster.named, NBEATS.named, DLinear.named, NLinear.named, PatchTST.named,
        // Speech, and lines of text in pictures
        TextLineCRNN.named, DeepSpeech2.named, Conformer.named, KeywordCRNN.named,
        // What makes new things; graphs
        Autoencoder.named, VariationalAutoencoder.named, DCGANGenerator.named, DCGANDiscriminator.named,
        GCN.named, GraphSAGE.named, GAT.named,
    ].flatMap { $0 }
}
