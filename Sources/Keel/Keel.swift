// The first file of Keel.
