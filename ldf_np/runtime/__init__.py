"""Where the library runs: the device, noise, threads, other processes, files and the checks of
arguments."""
