// The first file of KeelNN.
