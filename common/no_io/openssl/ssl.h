#error "a core does no I/O: OpenSSL belongs into a shell (see common/no_io/README.md)"
