#error "a core does no I/O: SQLite belongs into a shell (see common/no_io/README.md)"
