#include "peer/core/search_open.h"

#include <algorithm>

#include "common/base/limits.h"

namespace espalier::peer {

TimePoint OpenSearch::forgetAt() const {
  return shareEnds + limits::kSearchLinger;
}

bool OpenSearch::isComplete() const {
  if (expired) return true;
  return matched && lost.empty() &&
         std::none_of(branches.begin(), branches.end(),
                      [](const auto& branch) { return branch.second.isPending(); });
}

std::uint64_t OpenSearch::searched() const {
  const auto& coverage = knowledge.coverage();
  return std::min(members, newest == kNoOrder ? coverage.size() : coverage.sizeUpTo(newest));
}

wire::Missing OpenSearch::missingBehind(const SearchBranch& branch, std::uint64_t behind) const {
  const auto others = behind > 0 ? behind - 1 : 0;
  const bool answered = knowledge.coverage().contains(branch.order);
  const auto heard = branch.heard - (answered && branch.heard > 0 ? 1 : 0);
  return {branch.peer, branch.order, others > heard ? others - heard : 0};
}

TimePoint OpenSearch::deadline() const {
  auto due = isMine ? shareEnds : forgetAt();
  if (!expired) due = std::min(due, shareEnds);
  if (flushAt) due = std::min(due, *flushAt);
  if (graceEnds) due = std::min(due, *graceEnds);
  for (const auto& branch : lost) due = std::min(due, branch.until);
  return due;
}

const Pattern* OpenSearch::pattern() {
  if (!pattern_) pattern_ = Pattern::compile(query.kind, query.text);
  return pattern_->ok() ? &**pattern_ : nullptr;
}

}  // namespace espalier::peer
