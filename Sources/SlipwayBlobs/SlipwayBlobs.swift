// The first file of SlipwayBlobs.
