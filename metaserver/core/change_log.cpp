#include "metaserver/core/change_log.h"

#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver {
namespace {

constexpr std::size_t kChangesKept = 2 * limits::kMembers;

}  // namespace

void ChangeLog::changed(Node node, JoinOrder order) {
  if (!following_) return;
  list(node, order);
  stopIfTooMany();
}

void ChangeLog::gone(Node node, JoinOrder order) {
  if (!following_) return;
  if (topo::number(node) < listed_.size()) listed_[topo::number(node)] = kNoOrder;
  gone_.push_back(order);
  stopIfTooMany();
}

void ChangeLog::list(Node node, JoinOrder order) {
  if (listed_.size() <= topo::number(node)) listed_.resize(topo::number(node) + 1, kNoOrder);
  if (std::exchange(listed_[topo::number(node)], order) != order) changed_.push_back({node, order});
}

void ChangeLog::stopIfTooMany() {
  if (changed_.size() + gone_.size() > kChangesKept) *this = ChangeLog();
}

ChangeLog::Page ChangeLog::take(std::size_t most, const std::map<JoinOrder, Node>& members) {
  Page page;
  if (!std::exchange(following_, true)) {
    page.fromScratch = true;
    for (const auto& [order, node] : members) list(node, order);
  }
  std::size_t taken = 0;
  for (; !gone_.empty() && taken < most; ++taken) {
    page.gone.push_back(gone_.front());
    gone_.pop_front();
  }
  for (; !changed_.empty() && taken < most; ++taken) {
    const Changed next = changed_.front();
    changed_.pop_front();
    JoinOrder& listed = listed_[topo::number(next.node)];
    if (listed != next.order) continue;
    listed = kNoOrder;
    page.changed.push_back(next.node);
  }
  page.more = !gone_.empty() || !changed_.empty();
  return page;
}

}  // namespace espalier::metaserver
