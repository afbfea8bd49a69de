// The first file of SlipwayDomain.
