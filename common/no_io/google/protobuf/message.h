#error "a core does no I/O: protobuf belongs into a shell (see common/no_io/README.md)"
