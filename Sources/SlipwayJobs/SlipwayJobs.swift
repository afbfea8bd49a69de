// The first file of SlipwayJobs.
