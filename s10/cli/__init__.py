"""The command line: recipes by name, the folder of a run, and the commands of `s10`."""
