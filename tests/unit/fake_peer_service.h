// A fake network for tests of commands and prompt: five peers and a few files. All answers are
// immediate.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "peer/core/pattern.h"
#include "peer/shell/services.h"
#include "tests/unit/fake_room_service.h"

namespace espalier::test {

using peer::shell::ActiveTransfer;
using peer::shell::DownloadRequest;
using peer::shell::Fetched;
using peer::shell::LinkedPeer;
using peer::shell::PeerStatus;
using peer::shell::PushReport;
using peer::shell::PushRequest;
using peer::shell::Rates;
using peer::shell::Role;
using peer::shell::SearchRequest;
using peer::shell::Services;
using peer::shell::ShareChange;
using peer::shell::ShareReport;
using peer::shell::TransferControl;

inline PeerId id(std::string_view text) {
  return *PeerId::parse(text);
}

inline FileRoot rootOf(std::uint8_t number) {
  FileRoot root;
  root.bytes.fill(number);
  return root;
}

inline peer::FoundFile file(const std::string& name, std::uint64_t sizeBytes, std::uint8_t root,
                            const std::vector<std::string>& holders) {
  peer::FoundFile result{name, sizeBytes, rootOf(root), {}};
  for (const auto& holder : holders) result.holders.push_back({id(holder), {"127.0.0.1", 5001}});
  return result;
}

// The error of fetch() if another file has the name.
inline Error existsAndDiffers(const std::string& path) {
  return {ErrorCode::failed,
          path + " exists and differs: --force overwrites it, -o PATH saves elsewhere"};
}

class FakePeerService : public peer::shell::SearchService,
                        public peer::shell::DownloadService,
                        public peer::shell::TransferService,
                        public peer::shell::PushService,
                        public peer::shell::ShareService,
                        public peer::shell::TopologyService,
                        public peer::shell::StatusService,
                        public peer::shell::PrivateService,
                        public FakeRoomService,
                        public peer::shell::FeedbackService {
 public:
  Services services() {
    return {*this,
            *this,
            *this,
            *this,
            *this,
            *this,
            *this,
            *this,
            *this,
            *this,
            [this] { stopped = true; }};
  }

  using OnProgress = peer::shell::DownloadService::OnProgress;

  // --- private messages: whoever is in `away` gets them later
  std::vector<PeerId> away;
  std::map<PeerId, std::vector<peer::shell::PrivateLine>> conversations;
  std::vector<PeerId> ignoredPeers;
  Result<peer::shell::SentPrivate> send(const PeerId& to, const std::string& text, bool isNew,
                                        std::stop_token stop) override {
    const bool isAway = std::find(away.begin(), away.end(), to) != away.end();
    auto& lines = conversations[to];
    lines.push_back({true, {}, isAway ? "waiting" : "delivered", text});
    peer::shell::SentPrivate sent{to, !isAway, 0, {}};
    if (!isAway) return sent;
    sent.waiting = 1;
    sent.why = to.text() + (isNew ? " is new" : " is not in the network");
    sent.isInterrupted = stop.stop_requested();
    return sent;
  }
  Result<std::vector<peer::shell::PrivateLine>> conversation(const PeerId& with,
                                                             std::size_t most) override {
    const auto found = conversations.find(with);
    if (found == conversations.end()) {
      return Error{ErrorCode::failed, "no private messages with " + with.text()};
    }
    const auto& lines = found->second;
    const auto from = lines.end() - static_cast<std::ptrdiff_t>(std::min(most, lines.size()));
    return std::vector<peer::shell::PrivateLine>(from, lines.end());
  }
  Result<void> ignore(const PeerId& peer, bool isIgnored, std::stop_token) override {
    std::erase(ignoredPeers, peer);
    if (isIgnored) ignoredPeers.push_back(peer);
    return {};
  }
  Result<std::vector<PeerId>> ignored() override { return ignoredPeers; }
  std::vector<std::string> correspondents(const std::string&) override { return {"s1", "sx"}; }

  // The files of the network. Only the text of a search is matched.
  std::vector<peer::FoundFile> files = {file("f3.txt", 12, 3, {"s1"}),
                                        file("two.txt", 5, 1, {"s1"}),
                                        file("two.txt", 7, 2, {"s3", "s4"})};
  std::vector<peer::FoundFile> unasked;  // found by every search
  std::vector<peer::MissingPeer> missing;
  std::vector<PeerId> indexing;
  std::map<PeerId, std::uint64_t> moreOf;       // further hits of each holder
  std::map<PeerId, Result<ShareReport>> lists;  // the shares of peers; all others share two files
  std::vector<peer::Holder> listedAt;           // the peers whose lists were requested
  std::vector<peer::shell::Unshared> unshared;
  std::vector<SearchRequest> searches;  // the searches so far
  command::Topology network = {
      {{id("s1"), {"127.0.0.1", 5001}, {id("s2")}}, {id("s2"), {"127.0.0.1", 5002}, {id("s1")}}},
      std::nullopt};
  std::map<std::string, Error> fetchErrors;  // by name
  std::vector<DownloadRequest> fetched;
  std::vector<PushRequest> pushed;
  PushReport pushReport;
  std::vector<std::pair<TransferControl, std::vector<std::uint64_t>>> controlled;
  Rates rates;
  std::uint64_t members = 2;
  bool stopped = false;
  std::vector<std::pair<unsigned, std::string>> rated;
  wire::Statistics counted;
  std::size_t askedDays = 0;

  Result<void> rate(unsigned score, const std::string& text, std::stop_token) override {
    if (!rated.empty()) return Error{ErrorCode::refused, "it was rated"};
    rated = {{score, text}};
    return {};
  }
  Result<wire::Statistics> statistics(std::size_t days, std::stop_token) override {
    askedDays = days;
    return counted;
  }

  Result<command::Topology> topology(std::stop_token) override { return network; }
  Result<std::string> topologyDot(std::stop_token) override { return std::string("graph {}\n"); }

  Result<command::KillPlan> whatIfKilled(const PeerId& killed, std::stop_token) override {
    if (killed != id("s1")) return Error{ErrorCode::failed, "nobody is called so"};
    return command::KillPlan{{{id("s2"), PeerId()}}, {{id("s2"), {"127.0.0.1", 5002}, {}}}};
  }

  PeerId self() override { return id("s2"); }

  Result<peer::SearchResult> find(const SearchRequest& wanted, std::stop_token stop,
                                  const OnHits& onHits) override {
    if (wanted.text == "for ever") {
      if (underWay) underWay();
      untilStopped(stop);
      return Error{ErrorCode::interrupted, "interrupted"};
    }
    peer::SearchResult result;
    const auto pattern = peer::Pattern::compile(
        wanted.kind.value_or(peer::Pattern::kindOf(wanted.text)), wanted.text);
    if (!pattern) return pattern.error();
    for (const auto& each : files) {
      if (pattern->matches(each.name, each.root)) result.files.push_back(each);
    }
    result.files.insert(result.files.end(), unasked.begin(), unasked.end());
    searches.push_back(wanted);
    result.searched = members - missing.size();
    result.members = members;
    result.missing = missing;
    result.indexing = indexing;
    result.moreOf = moreOf;
    for (const auto& [holder, more] : moreOf) result.moreHits += more;
    if (onHits) onHits(result.files.size(), result.searched);
    return result;
  }

  Result<Fetched> fetch(const DownloadRequest& request, std::stop_token,
                        const OnProgress& progress) override {
    fetched.push_back(request);
    const auto& wanted = request.file;
    if (const auto error = fetchErrors.find(wanted.name); error != fetchErrors.end()) {
      return error->second;
    }
    if (progress) progress({wanted.name, wanted.sizeBytes, wanted.sizeBytes});
    Fetched result{wanted.name, wanted.sizeBytes, wanted.root, "./s2/" + wanted.name, {}, 0.01};
    for (const auto& holder : wanted.holders) result.sources.push_back(holder.id);
    return result;
  }

  void fetchMany(const std::vector<DownloadRequest>& requests, std::stop_token stop,
                 const OnProgress& progress, const OnFetched& each) override {
    for (std::size_t i = 0; i < requests.size(); ++i) each(i, fetch(requests[i], stop, progress));
  }

  Result<PushReport> push(const PushRequest& request, std::stop_token, const OnPush& onChange,
                          const OnHashed&) override {
    pushed.push_back(request);
    if (onChange) onChange(pushReport);
    return pushReport;
  }
  Result<std::vector<PushReport>> pushes(std::stop_token) override {
    return std::vector<PushReport>{pushReport};
  }

  static ActiveTransfer transfer(ActiveTransfer::State state) {
    ActiveTransfer transfer;
    transfer.number = 3;
    transfer.name = "f3.txt";
    transfer.peers = {id("s1")};
    transfer.incoming = true;
    transfer.state = state;
    transfer.position = 2;
    transfer.doneBytes = 4'000'000;
    transfer.totalBytes = 12'000'000;
    transfer.bytesPerSecond = 2'000'000;
    return transfer;
  }
  Result<std::vector<ActiveTransfer>> control(TransferControl what,
                                              const std::vector<std::uint64_t>& numbers) override {
    controlled.emplace_back(what, numbers);
    for (const auto number : numbers) {
      if (number != 3) return Error{ErrorCode::failed, "there is no such download"};
    }
    return std::vector<ActiveTransfer>{transfer(ActiveTransfer::State::paused)};
  }
  Rates limit(std::optional<std::uint64_t> upload, std::optional<std::uint64_t> download) override {
    rates = {upload.value_or(rates.upload), download.value_or(rates.download)};
    return rates;
  }

  Result<ShareReport> filesBelow(const peer::Holder& holder, const std::string& prefix,
                                 std::stop_token stop) override {
    listedAt.push_back(holder);
    auto all = list(holder.id, stop);
    if (!all) return all.error();
    std::erase_if(all->files, [&](const auto& each) { return !each.name.starts_with(prefix); });
    return all;
  }

  Result<ShareReport> list(const std::optional<PeerId>& peer, std::stop_token) override {
    if (const auto known = lists.find(peer.value_or(id("s2"))); known != lists.end()) {
      return known->second;
    }
    return ShareReport{peer.value_or(id("s2")),
                       {{"a.txt", 12, rootOf(1)}, {"b.bin", 3'100'000, rootOf(2)}}};
  }
  Result<ShareChange> share(const std::string& path, const std::string&, std::stop_token) override {
    return ShareChange{path, 3, false, unshared};
  }
  Result<ShareChange> unshare(const std::string& path, const std::string&,
                              std::stop_token) override {
    return ShareChange{path, 1, false, {}};
  }
  Result<std::vector<LinkedPeer>> links() override {
    return std::vector<LinkedPeer>{{id("s1"), Role::parent}, {id("s4"), Role::child}};
  }
  Result<PeerStatus> status() override {
    PeerStatus status;
    status.id = id("s2");
    status.endpoint = {"127.0.0.1", 5002};
    status.metaserver = {"127.0.0.1", 5000};
    status.members = members;
    status.share = status.downloads = "./s2";
    status.sharedFiles = 5;
    status.sharedBytes = 3'100'000;
    status.transfers = {transfer(ActiveTransfer::State::active)};
    return status;
  }

  Result<peer::shell::PeerFigures> figures() override { return peer::shell::PeerFigures{}; }
  Result<void> awaitMembers(std::uint64_t total, std::stop_token stop,
                            const OnCount& onCount) override {
    onCount(members);
    if (members >= total) return {};
    untilStopped(stop);
    return Error{ErrorCode::interrupted, "interrupted"};
  }

  std::vector<std::string> known;  // names, if any
  std::vector<std::string> knownNames(const std::string&) override {
    if (!known.empty()) return known;
    return {"f3.txt", "two.txt", "with space.txt"};
  }
  std::vector<std::string> knownPeers(const std::string&) override { return {"s1", "s2"}; }

  std::function<void()> underWay;  // a search that only an interrupt ends

 private:
  static void untilStopped(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    changed.wait(lock, stop, [] { return false; });
  }
};

}  // namespace espalier::test
