// Makes one directory of those of several masters, after a cut: the members of all sides, each
// once. Orders of joining are unique also after a cut (epoch.h), so a member is known by its order.
//
//   the same order on two sides   the higher generation, else the row that names a home, else that
//                                 of the later epoch
//   the same key, another order   one peer that joined again, under its id or another one: the
//                                 higher generation, else the later order
//   the same id, another key      the lower order keeps the id
//   an absent member              is none if its key is a member's
//
// Absent members are those of all sides that are nobody's members; of two with one order that of
// the later epoch. A side that does not wait for those of before (any more) has lost them.
//
// A pure function, O(n log n).
#pragma once

#include <span>
#include <vector>

#include "metaserver/core/cluster/directory.h"
#include "metaserver/core/cluster/epoch.h"

namespace espalier::metaserver::cluster {

struct Side {
  Epoch epoch;
  const Directory* directory = nullptr;
  bool isAwaiting = false;  // newcomers wait for absent members there
};

struct Merged {
  std::vector<MemberRow> rows;          // by order; each order and each id once
  std::vector<MemberRow> clashes;       // peers that lose their id to another one
  std::vector<wire::AbsentRow> absent;  // by order
};

Merged merge(std::span<const Side> sides);

}  // namespace espalier::metaserver::cluster
