// The members as they pass from the registry to its copies (registry_copy.h): rows, and pages of
// changes. Plain values.
#pragma once

#include <vector>

#include "common/wire/cluster_directory.h"

namespace espalier::metaserver {

// `home` is 0 as long as there is only one metaserver.
using MemberRow = wire::DirectoryRow;
using SharedRow = wire::SharedRow;

// A page of changes, to be applied in this order.
struct MemberChanges {
  bool fromScratch = false;  // drop everything that was taken before
  std::vector<JoinOrder> gone;
  std::vector<SharedRow> rows;  // new or changed
  bool more = false;
};

// Changes of the absent members (absent_members.h): those that are new or have changed, and those
// that are none any more.
struct AbsentChanges {
  std::vector<wire::AbsentRow> rows;
  std::vector<JoinOrder> gone;
};

}  // namespace espalier::metaserver
