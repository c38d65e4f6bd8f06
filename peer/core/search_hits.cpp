// What of an answer is believed: hits that match the query, within the share of their link.
#include <algorithm>

#include "common/base/limits.h"
#include "common/base/unicode.h"
#include "common/wire/file_form.h"
#include "peer/core/search.h"

namespace espalier::peer {
namespace {

// How many peers may speak over a link. Never more than limits::kMembers and a quarter: does not
// wrap when multiplied.
std::uint64_t speakersOver(std::uint64_t behind) {
  const auto known = std::max<std::uint64_t>(behind, 1);
  return known + known / 4 + limits::kPeersBehindSlack;
}

// How many ids may become known from a link.
std::uint64_t namesOf(std::uint64_t behind) {
  return limits::kNamesPerPeer * speakersOver(behind);
}

}  // namespace

void Searches::learn(OpenSearch& search, Link& link, SearchBranch& branch,
                     const wire::Answer& answer, TimePoint now, Effects& fx) {
  auto& knowledge = search.knowledge;
  for (const auto& hit : answer.hits) {
    // What this peer shares it says itself.
    if (hit.holder != self_.id) learnHit(search, link, branch, hit, now, fx);
  }
  const auto mayName = [&] { return branch.names < namesOf(link.behind); };
  for (auto more : answer.more) {
    // A peer has a path once.
    if (search.query.kind == PatternKind::path) more.hits = std::min<std::uint64_t>(more.hits, 1);
    if (more.holder != self_.id) branch.names += knowledge.addMore(more, mayName());
  }
  for (const auto& peer : answer.indexing) {
    if (peer != self_.id) branch.names += knowledge.addIndexing(peer, mayName());
  }
  for (const auto& missing : answer.missing) {
    if (missing.id != self_.id) branch.names += knowledge.addMissing(missing, mayName());
  }
  branch.heard += knowledge.cover(answer.coverage);
  branch.done = answer.done;
}

void Searches::learnHit(OpenSearch& search, Link& link, SearchBranch& branch, const wire::Hit& hit,
                        TimePoint now, Effects& fx) {
  const auto place = search.knowledge.referralFor(hit);
  if (!place) return;
  auto judgement = Judgement::tooMany;
  if (hasRoom(search, link, branch)) judgement = judge(search, link, hit, now);
  switch (judgement) {
    case Judgement::fits:
      count(search, branch);
      search.knowledge.addHit(hit, *place);
      return;
    case Judgement::impossible:
      tell(link, "offered a file that cannot exist", fx);
      return;
    case Judgement::unasked:
      tell(link, "offered a file that the search does not match", fx);
      return;
    case Judgement::tooCostly:
      tell(link, "sent hits that cost too much to compare with their search", fx);
      break;
    case Judgement::tooMany:
      break;
  }
  const bool mayName = branch.names < namesOf(link.behind);
  branch.names += search.knowledge.countHit(hit.holder, mayName);
}

// Comparing costs steps, of which the link has a bucket: a glob may be made to be slow, and names
// for it, by two who work together. One hit overdraws it at most. What costs no more than to decode
// the hit did is free, and so is folding the names that match, of which a link has its share.
Searches::Judgement Searches::judge(OpenSearch& search, Link& link, const wire::Hit& hit,
                                    TimePoint now) {
  if (hit.name.empty() || hit.name.size() > limits::kPathBytes ||
      !wire::isPossibleFile(hit.root, hit.sizeBytes)) {
    return Judgement::impossible;
  }
  const auto* const pattern = search.pattern();
  if (pattern == nullptr) return Judgement::unasked;
  const auto kind = search.query.kind;
  // Versions differ in how they fold and compose letters: what a holder of another version matched
  // is for the asker to judge.
  const bool isExact = kind == PatternKind::path || kind == PatternKind::root;
  if (!search.isMine && !isExact && !isAscii(hit.name)) return Judgement::fits;
  const std::chrono::duration<double> passed = std::max(now - link.stepsRefilled, Duration::zero());
  link.steps = std::min(limits::kMatchStepsPerSecond,
                        link.steps + passed.count() * limits::kMatchStepsPerSecond);
  link.stepsRefilled = std::max(link.stepsRefilled, now);
  if (link.steps <= 0) return Judgement::tooCostly;
  std::uint64_t steps = 0;
  const bool matches = pattern->matchesCounting(hit.name, hit.root, steps);
  const auto bytes = hit.name.size();
  if (!matches && !isAscii(hit.name)) steps += limits::kFoldStepsPerByte * bytes;
  link.steps -= static_cast<double>(steps - std::min(steps, limits::kMatchStepsPerByte * bytes));
  return matches ? Judgement::fits : Judgement::unasked;
}

// A branch has what the peers behind it could send. Of the bound of all, half is dealt out evenly,
// so that no branch can use up what the others need; the rest is for whoever comes first.
std::uint64_t Searches::dealtOut(const OpenSearch& search) {
  return limits::kHitsPerQuery / 2 / std::max<std::size_t>(search.branches.size(), 1);
}

bool Searches::hasRoom(const OpenSearch& search, const Link& link, const SearchBranch& branch) {
  if (branch.hits >= limits::kHitsPerPeer * speakersOver(link.behind)) return false;
  if (search.linkHits >= limits::kHitsPerQuery) return false;
  return branch.hits < dealtOut(search) || search.sharedHits < limits::kHitsPerQuery / 2;
}

// One more that is kept.
void Searches::count(OpenSearch& search, SearchBranch& branch) {
  if (branch.hits >= dealtOut(search)) ++search.sharedHits;
  ++branch.hits;
  ++search.linkHits;
}

}  // namespace espalier::peer
