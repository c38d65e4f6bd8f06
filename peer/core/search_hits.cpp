#include "peer/core/search_hits.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/unicode.h"
#include "common/wire/file_form.h"

namespace espalier::peer {
namespace {

enum class Judgement { fits, impossible, unasked, tooCostly, tooMany };

// A hit is compared while its link has any steps left, so the last one may overdraw them. Steps are
// free up to the cost of decoding the hit. Folding a name is free if it matches, because kept hits
// are bounded by HitShares.
Judgement judge(OpenSearch& search, SearchLink& link, const wire::Hit& hit, TimePoint now) {
  if (hit.name.empty() || hit.name.size() > limits::kPathBytes ||
      !wire::isPossibleFile(hit.root, hit.sizeBytes)) {
    return Judgement::impossible;
  }
  const auto* const pattern = search.pattern();
  if (pattern == nullptr) return Judgement::unasked;
  const auto kind = search.query().kind;
  // Versions of this program may fold and compose letters differently. So a relay passes on what a
  // holder matched, and only the asker judges it.
  const bool isExact = kind == PatternKind::path || kind == PatternKind::root;
  if (!search.isMine() && !isExact && !isAscii(hit.name)) return Judgement::fits;
  if (!link.hasSteps(now)) return Judgement::tooCostly;
  std::uint64_t steps = 0;
  const bool matches = pattern->matchesCounting(hit.name, hit.root, steps);
  const auto bytes = hit.name.size();
  if (!matches && !isAscii(hit.name)) steps += limits::kFoldStepsPerByte * bytes;
  link.spendSteps(steps - std::min(steps, limits::kMatchStepsPerByte * bytes));
  return matches ? Judgement::fits : Judgement::unasked;
}

void learnHit(OpenSearch& search, SearchLink& link, SearchBranch& branch, const wire::Hit& hit,
              TimePoint now, Effects& fx) {
  auto& knowledge = search.knowledge();
  const auto place = knowledge.placeOf(hit);
  if (!place) return;
  auto judgement = Judgement::tooMany;
  if (search.branches().mayKeepHit(branch, link)) judgement = judge(search, link, hit, now);
  switch (judgement) {
    case Judgement::fits:
      search.branches().countHit(branch, hit.name.size());
      knowledge.addHit(hit, *place);
      return;
    case Judgement::impossible:
      return link.blame("offered a file that cannot exist", fx);
    case Judgement::unasked:
      return link.blame("offered a file that the search does not match", fx);
    case Judgement::tooCostly:
      link.blame("sent hits that cost too much to compare with their search", fx);
      break;
    case Judgement::tooMany:
      break;
  }
  const bool mayName = branch.names < link.names();
  branch.names += knowledge.countHit(hit.holder, mayName);
}

}  // namespace

void learnAnswer(const SearchScene& scene, OpenSearch& search, ConnectionId id, SearchLink& link,
                 SearchBranch& branch, const wire::Answer& answer, TimePoint now, Effects& fx) {
  auto& knowledge = search.knowledge();
  const auto maySpeakOf = [&](const PeerId& peer) { return scene.maySpeakOf(id, peer); };
  const PeerId* holder = nullptr;  // of the last hit: hits of one holder follow each other
  bool mayHold = false;
  for (const auto& hit : answer.hits) {
    if (holder == nullptr || *holder != hit.holder) mayHold = maySpeakOf(hit.holder);
    holder = &hit.holder;
    if (mayHold) learnHit(search, link, branch, hit, now, fx);
  }
  const auto mayName = [&] { return branch.names < link.names(); };
  for (auto more : answer.more) {
    // A peer has a path at most once.
    if (search.query().kind == PatternKind::path) {
      more.hits = std::min<std::uint64_t>(more.hits, 1);
    }
    if (maySpeakOf(more.holder)) branch.names += knowledge.addMore(more, mayName());
  }
  for (const auto& peer : answer.indexing) {
    if (maySpeakOf(peer)) branch.names += knowledge.addIndexing(peer, mayName());
  }
  for (auto missing : answer.missing) {
    if (!maySpeakOf(missing.id)) continue;
    if (missing.id == link.peer()) missing.order = link.order();
    branch.names += knowledge.addMissing(missing, mayName(), id);
  }
  Coverage claimed;
  for (const auto& range : answer.coverage) claimed.add(range);
  claimed.remove(scene.self.order);
  for (const auto& [other, neighbour] : scene.links) {
    if (other != id && neighbour.isConfirmed()) claimed.remove(neighbour.order());
  }
  if (!claimed.empty()) search.branches().cover(branch, link, claimed, knowledge);
  branch.done = answer.done;
}

}  // namespace espalier::peer
