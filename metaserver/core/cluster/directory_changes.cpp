#include "metaserver/core/cluster/directory_changes.h"

#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver::cluster {

void DirectoryChanges::changed(const wire::Delta& delta) {
  if (isFromScratch_) return;
  changed_.insert(delta.gone.begin(), delta.gone.end());
  for (const auto& row : delta.rows) changed_.insert(row->contact.order);
  if (changed_.size() > limits::kMembers) reset();
}

void DirectoryChanges::changed(const MemberChanges& changes) {
  if (changes.fromScratch) reset();
  if (isFromScratch_) return;
  changed_.insert(changes.gone.begin(), changes.gone.end());
  for (const auto& row : changes.rows) changed_.insert(row->contact.order);
  if (changed_.size() > limits::kMembers) reset();
}

void DirectoryChanges::reset() {
  changed_.clear();
  isFromScratch_ = true;
  isWalking_ = false;
}

// While all members are walked, changes behind the walk are kept for later pages; those before it
// are kept, too, and only repeat a row.
MemberChanges DirectoryChanges::take(const RegistryCopy& copy, std::size_t most) {
  MemberChanges page;
  if (isFromScratch_) {
    page.fromScratch = true;
    isFromScratch_ = false;
    isWalking_ = true;
    walked_ = kNoOrder;
  }
  if (isWalking_) {
    auto next = copy.rows().upper_bound(walked_);
    for (; next != copy.rows().end() && page.rows.size() < most; ++next) {
      page.rows.push_back(next->second);
      walked_ = next->first;
    }
    isWalking_ = next != copy.rows().end();
    page.more = isWalking_ || !changed_.empty();
    return page;
  }
  for (; !changed_.empty() && page.rows.size() + page.gone.size() < most;
       changed_.erase(changed_.begin())) {
    const JoinOrder order = *changed_.begin();
    const auto row = copy.rows().find(order);
    if (row != copy.rows().end()) {
      page.rows.push_back(row->second);
    } else {
      page.gone.push_back(order);
    }
  }
  page.more = !changed_.empty();
  return page;
}

}  // namespace espalier::metaserver::cluster
