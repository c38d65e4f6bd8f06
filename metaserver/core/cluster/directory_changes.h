// Which members of a copy of the directory have changed since its reader last took them: for the
// copy of the files' writer and of the commands (registry_copy.h), which takes pages, so that it
// never holds the mutex for O(members), and for the database of the directory. At a single
// metaserver the registry has the same for the former (change_log.h).
//
//   following --reset(), or limits::kMembers changes--> from scratch --the last page--> following
//
// There is one reader. Does no I/O. Not thread-safe. O(log n) a change, O(page log n) a page.
#pragma once

#include <cstddef>
#include <set>

#include "common/wire/cluster_directory.h"
#include "metaserver/core/member_changes.h"
#include "metaserver/core/registry_copy.h"

namespace espalier::metaserver::cluster {

class DirectoryChanges {
 public:
  void changed(const wire::Delta& delta);
  void changed(const MemberChanges& changes);
  // The directory was replaced.
  void reset();
  // At most `most` changes of `copy`, which has all that was told here.
  MemberChanges take(const RegistryCopy& copy, std::size_t most);

 private:
  std::set<JoinOrder> changed_;
  bool isFromScratch_ = true;    // the next page is the first of all members
  bool isWalking_ = false;       // pages of all members are under way
  JoinOrder walked_ = kNoOrder;  // up to this order
};

}  // namespace espalier::metaserver::cluster
