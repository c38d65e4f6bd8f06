#error "a core does no I/O: POCO belongs into a shell (see common/no_io/README.md)"
