// The digest of a directory: the sum of a 128-bit hash of each row, modulo 2^128. A row is added or
// removed in O(its bytes), in any order, so that every delta can carry the digest after it.
//
// It guards against faults: a lost, truncated or repeated row. It does not guard against attacks:
// whoever chooses rows can find two directories of one sum. The metaservers of a cluster trust each
// other, and peers choose only parts of their own rows.
//
// All metaservers of a cluster must compute the same, so a change of the hash, or of the fields of
// a row, needs another version of the protocol; a test has the digest of an example. Pure
// functions.
#pragma once

#include "common/wire/cluster_directory.h"

namespace espalier::metaserver::cluster {

wire::DirectoryDigest digestOf(const wire::DirectoryRow& row);
wire::DirectoryDigest digestOf(const wire::AbsentRow& row);

wire::DirectoryDigest operator+(wire::DirectoryDigest a, wire::DirectoryDigest b);
wire::DirectoryDigest operator-(wire::DirectoryDigest a, wire::DirectoryDigest b);

}  // namespace espalier::metaserver::cluster
