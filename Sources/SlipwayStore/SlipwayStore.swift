// The first file of SlipwayStore.
