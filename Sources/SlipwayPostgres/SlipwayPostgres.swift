// The first file of SlipwayPostgres.
