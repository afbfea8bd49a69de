// The first file of SlipwayTasks.
