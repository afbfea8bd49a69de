// The first file of SlipwayHTTP.
