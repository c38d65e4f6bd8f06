#include "metaserver/core/cluster/publication.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver::cluster {
namespace {

std::size_t deltaBytes(const wire::Delta& delta) {
  std::size_t bytes = (delta.gone.size() + delta.absentGone.size()) * kGoneBytes;
  for (const auto& row : delta.rows) bytes += rowBytes(row);
  for (const auto& row : delta.absent) bytes += rowBytes(row);
  return bytes;
}

// An upper bound: each text as if it were on the heap.
std::size_t heapBytes(const wire::Delta& delta) {
  std::size_t bytes =
      sizeof delta + (delta.gone.size() + delta.absentGone.size()) * sizeof(JoinOrder);
  for (const auto& row : delta.absent) bytes += sizeof row + rowBytes(row);
  for (const auto& row : delta.rows) {
    bytes += sizeof *row + rowBytes(row) + row->neighbours.size() * sizeof(PeerId);
  }
  return bytes;
}

}  // namespace

// A delta under construction, and those before it.
struct Publication::Draft {
  wire::Delta next;
  std::size_t bytes = 0;
  std::unordered_set<JoinOrder> orders;  // of the rows of `next`
  std::unordered_set<JoinOrder> absent;  // of the absent ones
  std::vector<wire::Delta> done;
};

Publication::Publication(Epoch epoch, Directory start)
    : epoch_(epoch), directory_(std::move(start)) {}

wire::DirectorySummary Publication::summary() const {
  auto summary = directory_.summary(wire::DirectoryVersion{epoch_, sequence_});
  summary.isAwaiting = isAwaiting_;
  return summary;
}

wire::Position Publication::position(std::uint64_t answers) const {
  return {summary(), answers};
}

// --- changes ---

std::vector<wire::Delta> Publication::publish(MemberChanges changes, AbsentChanges absent) {
  Draft draft;
  // First what comes, last what goes: who changes sides is never on none.
  for (auto& row : absent.rows) putAbsent(std::move(row), draft);
  if (changes.fromScratch) {
    before_.emplace();
    for (const auto& [order, row] : directory_.copy().rows()) before_->orders.push_back(order);
    before_->isSeen.resize(before_->orders.size());
  }
  for (const JoinOrder order : changes.gone) remove(order, draft);
  for (auto& row : changes.rows) {
    markSeen(row->contact.order);
    put(std::move(row), draft);
  }
  if (before_ && !changes.more) {
    for (std::size_t i = 0; i < before_->orders.size(); ++i) {
      if (!before_->isSeen[i]) remove(before_->orders[i], draft);
    }
    before_.reset();
  }
  for (const JoinOrder order : absent.gone) removeAbsent(order, draft);
  finish(draft);
  return std::move(draft.done);
}

void Publication::markSeen(JoinOrder order) {
  if (!before_) return;
  const auto& orders = before_->orders;
  const auto found = std::lower_bound(orders.begin(), orders.end(), order);
  if (found == orders.end() || *found != order) return;
  before_->isSeen[static_cast<std::size_t>(found - orders.begin())] = true;
}

// To the draft's list of rows, whose orders are `orders`: a delta has each order once.
template <typename Row>
void Publication::append(const Row& row, std::unordered_set<JoinOrder>& orders,
                         std::vector<Row>& rows, Draft& draft) {
  const JoinOrder order = contactOf(row).order;
  const std::size_t bytes = rowBytes(row);
  const bool isFull = draft.bytes > 0 && draft.bytes + bytes > limits::kDirectoryMessageBytes;
  if (isFull || orders.contains(order)) finish(draft);
  orders.insert(order);
  draft.bytes += bytes;
  rows.push_back(row);
}

void Publication::appendGone(JoinOrder order, std::vector<JoinOrder>& gone, Draft& draft) {
  gone.push_back(order);
  draft.bytes += kGoneBytes;
  if (draft.bytes >= limits::kDirectoryMessageBytes) finish(draft);
}

void Publication::remove(JoinOrder order, Draft& draft) {
  // A delta's `gone` come before its rows.
  if (draft.orders.contains(order)) finish(draft);
  if (directory_.remove(order)) appendGone(order, draft.next.gone, draft);
}

void Publication::putAbsent(wire::AbsentRow row, Draft& draft) {
  const auto old = directory_.absent().find(row.contact.order);
  if (old != directory_.absent().end() && old->second == row) return;
  append(row, draft.absent, draft.next.absent, draft);
  directory_.putAbsent(std::move(row));
}

void Publication::removeAbsent(JoinOrder order, Draft& draft) {
  if (draft.absent.contains(order)) finish(draft);
  if (directory_.removeAbsent(order)) appendGone(order, draft.next.absentGone, draft);
}

void Publication::put(SharedRow row, Draft& draft) {
  const JoinOrder order = row->contact.order;
  if (const MemberRow* old = directory_.copy().find(order)) {
    if (*old == *row) return;
    if (old->contact.id != row->contact.id) remove(order, draft);
  }
  // While changes begin from scratch, a member that is gone may still have the id.
  const MemberRow* owner = directory_.copy().find(row->contact.id);
  if (owner && owner->contact.order != order) remove(owner->contact.order, draft);
  append(row, draft.orders, draft.next.rows, draft);
  directory_.put(std::move(row));
}

void Publication::finish(Draft& draft) {
  if (draft.bytes == 0) return;
  ++sequence_;
  draft.next.after = summary();
  kept_.push_back({draft.next, heapBytes(draft.next)});
  keptBytes_ += kept_.back().bytes;
  for (; keptBytes_ > limits::kDeltasKeptBytes; kept_.pop_front()) {
    keptBytes_ -= kept_.front().bytes;
  }
  draft.done.push_back(std::exchange(draft.next, {}));
  draft.orders.clear();
  draft.absent.clear();
  draft.bytes = 0;
}

// --- answers ---

bool Publication::keepsAfter(std::uint64_t sequence) const {
  return sequence <= sequence_ && sequence_ - sequence <= kept_.size();
}

std::vector<wire::DirectoryMessage> Publication::answer(const wire::Pull& pull) const {
  std::vector<wire::DirectoryMessage> answer;
  const Epoch epoch = pull.have.epoch;
  if (epoch > epoch_) return answer;
  JoinOrder covered = pull.covered;
  if (epoch != epoch_ || !keepsAfter(pull.have.sequence)) covered = kNoOrder;
  std::size_t bytes = 0;
  if (covered != kNoOrder) {
    for (std::size_t i = kept_.size() - (sequence_ - pull.have.sequence); i < kept_.size(); ++i) {
      bytes += deltaBytes(kept_[i].delta);
      if (bytes > limits::kPullAnswerBytes) break;  // then there is no room for a page, either
      answer.emplace_back(kept_[i].delta);
    }
  }
  while (covered != wire::kAllOrders &&
         bytes + limits::kDirectoryMessageBytes <= limits::kPullAnswerBytes) {
    auto next = page(covered, pull.number, bytes);
    covered = next.upTo;
    answer.emplace_back(std::move(next));
  }
  answer.emplace_back(position(pull.number));
  return answer;
}

wire::SnapshotPage Publication::page(JoinOrder after, std::uint64_t answers,
                                     std::size_t& bytes) const {
  wire::SnapshotPage page{answers, summary(), after, wire::kAllOrders, {}};
  const auto& rows = directory_.copy().rows();
  const auto& absent = directory_.absent();
  std::size_t pageBytes = 0;
  auto member = rows.upper_bound(after);
  auto other = absent.upper_bound(after);
  JoinOrder last = after;
  while (member != rows.end() || other != absent.end()) {
    const bool isMember =
        member != rows.end() && (other == absent.end() || member->first <= other->first);
    const JoinOrder order = isMember ? member->first : other->first;
    const std::size_t more = isMember ? rowBytes(member->second) : rowBytes(other->second);
    // A page is not cut within an order.
    const bool isFull = pageBytes > 0 && pageBytes + more > limits::kDirectoryMessageBytes;
    if (isFull && order != last) {
      page.upTo = last;
      break;
    }
    pageBytes += more;
    last = order;
    if (isMember) {
      page.rows.push_back((member++)->second);
    } else {
      page.absent.push_back((other++)->second);
    }
  }
  bytes += std::max<std::size_t>(pageBytes, 1);
  return page;
}

}  // namespace espalier::metaserver::cluster
