// The first file of SlipwayServing.
