// The first file of KeelData.
