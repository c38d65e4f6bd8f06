#error "a core does no I/O: a socket belongs into a shell (see common/no_io/README.md)"
