// The part of Node that deals with files: searches, the share.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "peer/core/pattern.h"
#include "peer/shell/node.h"
#include "peer/shell/share_change.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;

constexpr auto kSnapshotAge = 10s;
constexpr auto kPublishPatience = 10s;  // that `share` waits for its files to be hashed
constexpr std::size_t kHeardNames = 10'000;
constexpr std::size_t kHeardNamesBytes = 1 << 20;
// A share this small is looked through at once, on the loop: some 10 us, less than a thread costs.
constexpr std::size_t kMatchAtOnceFiles = 64;
constexpr std::size_t kMatchAtOnceBytes = 64;  // of the pattern
// Of one search, before those of other links have theirs: a few thousand names, or one that is made
// to be slow.
constexpr auto kMatchTurn = 5ms;

}  // namespace

// --- searches ---

// On the loop's thread.
void Node::match(const MatchJob& job) {
  {
    const std::lock_guard lock(jobsMutex_);
    const bool isShort = index_ && job.text.size() <= kMatchAtOnceBytes &&
                         index_->snapshot()->entries().size() <= kMatchAtOnceFiles;
    if (!isShort) {
      jobs_.push(job);
      jobsChanged_.notify_one();
      return;
    }
  }
  share::Matching matching;
  matching.job = job;
  matchOn(matching, kNever);
  network_.matched(job.id, std::move(matching.hits), matching.more, matching.indexing);
}

void Node::workOff(std::stop_token stop) {
  while (true) {
    std::unique_lock lock(jobsMutex_);
    const TimePoint due = refreshAt_;
    jobsChanged_.wait_until(lock, stop, due, [&] { return !jobs_.empty() || refreshAt_ < due; });
    if (stop.stop_requested()) return;
    if (Clock::now() >= refreshAt_) {
      refreshAt_ = largeNetwork_ ? kNever : Clock::now() + kSnapshotAge;
      lock.unlock();
      refreshTopology();
      continue;
    }
    auto matching = jobs_.take(Clock::now());
    lock.unlock();
    if (!matching) continue;
    if (!matchOn(*matching, Clock::now() + kMatchTurn)) {
      lock.lock();
      jobs_.putBack(std::move(*matching));
      continue;
    }
    network_.post([found = std::move(*matching)](Peer& peer, TimePoint now, Effects& fx) mutable {
      peer.matched(found.job.id, std::move(found.hits), found.more, found.indexing, now, fx);
    });
  }
}

bool Node::matchOn(share::Matching& matching, TimePoint until) {
  if (!matching.snapshot) {
    const std::lock_guard lock(jobsMutex_);
    if (!index_) return true;
    matching.snapshot = index_->snapshot();
    matching.indexing = !index_->progress().ready;
  }
  if (!matching.advance(until)) return false;
  addPartial(matching);
  return true;
}

// Whoever looks for a root wants also those who fetch it, and have some of it.
void Node::addPartial(share::Matching& matching) {
  if (matching.job.kind != PatternKind::root || !matching.hits.empty()) return;
  const auto root = parseFileRoot(matching.job.text);
  const auto file = root ? partialFiles_.find(*root) : nullptr;
  if (file) matching.hits.push_back({file->name(), file->size(), *root, true});
}

// On the loop's thread.
void Node::searched(SearchUpdate& update) {
  heardNames_.with([&](HeardNames& heard) {
    for (const auto& hit : update.hits) {
      if (heard.names.size() == kHeardNames || heard.bytes + hit.name.size() > kHeardNamesBytes) {
        break;
      }
      if (heard.names.insert(hit.name).second) heard.bytes += hit.name.size();
    }
  });
  const auto search = searches_.with([&](auto& searches) {
    const auto found = searches.find(update.id);
    return found == searches.end() ? nullptr : found->second;
  });
  if (!search) return;
  const std::lock_guard lock(search->mutex);
  search->hits += update.hits.size();
  search->searched = update.searched;
  if (update.result) search->result = std::move(update.result);
  search->changed.notify_all();
}

Result<SearchResult> Node::find(const SearchRequest& wanted, std::stop_token stop,
                                const OnHits& onHits) {
  const PatternKind kind = wanted.kind.value_or(Pattern::kindOf(wanted.text));
  if (const auto pattern = Pattern::compile(kind, wanted.text); !pattern) return pattern.error();
  const auto members = membersNow(stop);
  const auto search = std::make_shared<Search>();
  auto id = network_.call([=, this](Peer& peer, TimePoint now, Effects& fx) {
    auto asked = peer.find(kind, wanted.text, members, now, fx);
    if (asked) searches_.with([&](auto& searches) { searches.emplace(*asked, search); });
    return asked;
  });
  if (!id) return id.error();
  if (!*id) return id->error();
  std::unique_lock lock(search->mutex);
  std::uint64_t toldHits = 0;
  std::uint64_t toldPeers = 0;
  while (!search->result && !stop.stop_requested()) {
    search->changed.wait(lock, stop, [&] {
      return search->result || search->hits != toldHits || search->searched != toldPeers;
    });
    toldHits = search->hits;
    toldPeers = search->searched;
    if (!onHits) continue;
    lock.unlock();
    onHits(toldHits, toldPeers);
    lock.lock();
  }
  lock.unlock();
  searches_.with([&](auto& searches) { searches.erase(**id); });
  if (search->result) return *search->result;
  network_.post([query = **id](Peer& peer, TimePoint, Effects&) { peer.cancel(query); });
  return Error{ErrorCode::interrupted, "interrupted"};
}

// --- the share ---

Result<ShareReport> Node::list(const std::optional<PeerId>& peer, std::stop_token stop) {
  if (peer && *peer != options_.id) return filesBelow({*peer, {}, false}, "", std::move(stop));
  ShareReport report;
  report.peer = options_.id;
  report.indexing = !index_->progress().ready;  // first: what it adds is listed then
  const auto snapshot = index_->snapshot();
  for (const auto& entry : snapshot->entries()) {
    report.files.push_back({entry->name, entry->stat.sizeBytes, entry->root});
  }
  return report;
}

Result<ShareReport> Node::filesBelow(const Holder& holder, const std::string& prefix,
                                     std::stop_token stop) {
  Endpoint endpoint = holder.endpoint;
  if (endpoint.empty()) {
    const auto now = snapshot(stop);
    if (!now) return now.error();
    const auto entry =
        std::find_if(now->entries.begin(), now->entries.end(),
                     [&](const wire::TopologyEntry& e) { return e.member.id == holder.id; });
    if (entry == now->entries.end()) {
      return Error{ErrorCode::unavailable,
                   fmt::format("{} is not in the network", escaped(holder.id.text()))};
    }
    endpoint = entry->member.endpoint;
  }
  net::Interrupter interrupter;
  const std::stop_callback onStop(stop, [&] { interrupter.interrupt(); });
  auto listed = transfer::listShared({holder.id, endpoint}, {}, interrupter, prefix);
  if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
  if (!listed) return listed.error();
  ShareReport report{holder.id, {}, listed->indexing, listed->more, std::move(endpoint)};
  report.files.reserve(listed->files.size());
  for (const auto& file : listed->files) {
    report.files.push_back({file.name, file.size, file.root});
  }
  return report;
}

Result<ShareChange> Node::share(const std::string& path, const std::string& typed,
                                std::stop_token stop) {
  if (auto added = index_->add(path, typed); !added) return added.error();
  const bool published = index_->awaitPublished(kPublishPatience, stop);
  return shareChange(path, *index_->snapshot(), published, stop);
}

Result<ShareChange> Node::unshare(const std::string& path, const std::string& typed,
                                  std::stop_token stop) {
  const auto before = index_->snapshot();
  if (auto removed = index_->remove(path, typed); !removed) return removed.error();
  const bool published = index_->awaitPublished(kPublishPatience, stop);
  const auto after = index_->snapshot();
  const auto gone =
      std::count_if(before->entries().begin(), before->entries().end(),
                    [&](const auto& entry) { return after->find(entry->name) == nullptr; });
  return ShareChange{path, static_cast<std::uint64_t>(gone), !published, {}};
}

// --- completion ---

std::vector<std::string> Node::knownNames(const std::string& prefix) {
  std::set<std::string> names;
  heardNames_.with([&](const HeardNames& heard) {
    for (auto name = heard.names.lower_bound(prefix);
         name != heard.names.end() && name->starts_with(prefix) &&
         names.size() <= limits::kCompletions;
         ++name) {
      names.insert(*name);
    }
  });
  const auto snapshot = index_->snapshot();
  const auto& entries = snapshot->entries();
  for (std::size_t i = snapshot->lowerBound(prefix);
       i < entries.size() && entries[i]->name.starts_with(prefix) &&
       names.size() <= limits::kCompletions;
       ++i) {
    names.insert(entries[i]->name);
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> Node::knownPeers(const std::string& prefix) {
  std::vector<std::string> peers;
  const auto snapshot = lastTopology_.with([](auto& last) { return last; });
  if (!snapshot) return peers;
  for (const auto& entry : snapshot->entries) {
    const auto& id = entry.member.id.text();
    if (id.starts_with(prefix) && peers.size() <= limits::kCompletions) peers.push_back(id);
  }
  return peers;
}

}  // namespace espalier::peer::shell
