import Glibc

/// Shows at once what was printed, also where the output is a file.
func flushOutput() { _ = fflush(nil) }
