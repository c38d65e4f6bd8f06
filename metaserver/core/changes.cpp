// What a copy of the registry is told: the part of Registry that keeps count of changes.
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/registry.h"

namespace espalier::metaserver {
namespace {

// While nobody takes them; then everybody is copied again.
constexpr std::size_t kChangesKept = 2 * limits::kMembers;

}  // namespace

void Registry::touch(Node node) {
  Record& member = record(node);
  if (!followed_ || std::exchange(member.touched, true)) return;
  touched_.push_back({node, member.contact.order});
  if (touched_.size() + gone_.size() > kChangesKept) touchAll();
}

void Registry::touchAll() {
  fromScratch_ = true;
  gone_.clear();
  touched_.clear();
  for (const auto& [order, node] : byOrder_) {
    record(node).touched = true;
    touched_.push_back({node, order});
  }
}

MemberChanges Registry::takeChanges(std::size_t most) {
  if (!std::exchange(followed_, true)) touchAll();
  MemberChanges changes;
  changes.fromScratch = std::exchange(fromScratch_, false);
  std::size_t taken = 0;
  // All that are gone first: an order may be in the network again.
  for (; !gone_.empty() && taken < most; ++taken) {
    changes.gone.push_back(gone_.front());
    gone_.pop_front();
  }
  for (; !touched_.empty() && taken < most; ++taken) {
    const Touched next = touched_.front();
    touched_.pop_front();
    if (!tree_.isMember(next.node)) continue;
    Record& member = record(next.node);
    if (member.contact.order != next.order || !std::exchange(member.touched, false)) continue;
    MemberRow row{member.contact, member.key, member.neighbours, std::nullopt};
    if (const auto above = tree_.parent(next.node)) row.above = record(*above).contact.id;
    changes.rows.push_back(std::move(row));
  }
  changes.more = !gone_.empty() || !touched_.empty();
  return changes;
}

}  // namespace espalier::metaserver
