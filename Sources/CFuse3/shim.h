// Nothing is imported here: this module only brings pkg-config's flags and the linker flag. CFuseShim
// includes libfuse.
