#include "peer/shell/node.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "peer/core/pattern.h"
#include "peer/shell/instance_key.h"
#include "topo/dot.h"
#include "topo/kill_plan.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;

Membership::Options membershipOptions(const PeerOptions& options) {
  Membership::Options result;
  result.metaserver = options.metaserver;
  result.listen = options.listen;
  result.advertise.host = options.advertise;
  return result;
}

// The picture as a tree; links that do not fit (a picture is taken while things move) are left out.
topo::Tree treeOf(const std::vector<wire::TopologyEntry>& entries, unsigned maxLinks) {
  topo::Tree tree(maxLinks);
  for (const auto& entry : entries) {
    if (tree.find(entry.member.id)) continue;
    tree.add({entry.member.id, entry.member.order, entry.member.endpoint});
  }
  for (const auto& entry : entries) {
    const auto parent = tree.find(entry.member.id);
    for (const auto& neighbour : entry.neighbours) {
      const auto child = std::find_if(
          entries.begin(), entries.end(),
          [&](const wire::TopologyEntry& other) { return other.member.id == neighbour; });
      if (child == entries.end() || child->parent != entry.member.id) continue;
      (void)tree.link(*tree.find(neighbour), *parent);
    }
  }
  return tree;
}

}  // namespace

Node::Node(net::EventLoop& loop, PeerOptions options)
    : loop_(loop),
      options_(std::move(options)),
      network_(loop, membershipOptions(options_),
               {[this](const Notice& notice) { noticed(notice); },
                [this](const MatchJob& job) { match(job); },
                [this](SearchUpdate& update) { searched(update); },
                [this](FileDescriptor socket, const wire::Hello& hello, std::string behind) {
                  if (server_) server_->serve(std::move(socket), hello, std::move(behind));
                }}),
      worker_([this](std::stop_token stop) { workOff(stop); }),
      loopThread_([this] { loop_.run(); }) {
  announcedWord_.with([&](auto& word) { word = options_.joinWord; });
}

Node::~Node() {
  leave();
  control_.reset();
  worker_.request_stop();
  if (server_) server_->stop();
}

void Node::leave() {
  if (!loopThread_.joinable()) return;
  network_.leave();
  loopThread_.join();
}

void Node::stop() {
  if (onStop_) onStop_();
}

// --- joining ---

std::string Node::joinWord() {
  return announcedWord_.with([](auto& word) { return word; });
}

// What follows from the id: where things lie, the share, the control socket. The state is claimed
// before anything in it is touched: another process may run on it.
Result<void> Node::settle(const PeerId& id) {
  control_.reset();
  options_.settle(id);
  for (const auto& folder : {options_.share, options_.downloads}) {
    boost::system::error_code failed;
    if (fs::create_directories(folder, failed)) log::info("made the folder {}", folder);
    if (failed) return systemError("cannot make the folder " + folder, failed.value());
  }
  auto control = command::ControlServer::claim(options_.state);
  if (!control) {
    Error error = control.error();
    if (error.code == ErrorCode::io)
      error.message += "; --state DIR keeps a peer's state elsewhere";
    return error;
  }
  auto key = loadInstanceKey(options_.state);
  if (!key) return key.error();
  key_ = *key;
  if (auto made = makeShare(); !made) return made;
  control_ = std::move(*control);
  if (dispatcher_ != nullptr) control_->serve(*dispatcher_);
  return {};
}

Result<void> Node::makeShare() {
  // Transfers that came before are served from the share that was.
  if (server_) server_->stop();
  share::ShareOptions share;
  share.root = options_.share;
  share.stateFolder = options_.state;
  share.onNotice = [](const share::Notice& notice) { log::write(notice.level, notice.text); };
  auto index = std::make_unique<share::ShareIndex>(std::move(share));
  auto source = std::make_unique<ShareSource>(*index);
  auto server = std::make_unique<transfer::TransferServer>(*source);
  downloader_ = std::make_unique<transfer::Downloader>(transfer::DownloaderOptions{
      .stateFolder = options_.state,
      .timeouts = {},
      .verified = [share = index.get()](const auto& path, const auto& root, auto chunks) {
        share->learn(path, root, chunks);
      }});
  // The loop and the worker use these: they are exchanged where both look.
  const auto exchanged = network_.call([&](Peer&, TimePoint, Effects&) {
    const std::lock_guard lock(jobsMutex_);
    std::swap(server_, server);
    std::swap(source_, source);
    std::swap(index_, index);
    return true;
  });
  if (!exchanged) return exchanged.error();
  return {};
}

JoinAttempt Node::join(const PeerId& id, const std::string& word, std::stop_token stop) {
  JoinAttempt failed;
  if (!key_ || options_.id != id || !control_) {
    if (auto settled = settle(id); !settled) {
      failed.error = settled.error();
      // With another id it would be another folder.
      const bool follows = options_.given.share.empty() && options_.given.state.empty();
      if (follows && failed.error.code == ErrorCode::refused) {
        failed.end = JoinAttempt::End::idRefused;
      }
      return failed;
    }
  }
  auto attempt = std::make_shared<Attempt>();
  attempt_.with([&](auto& current) { current = attempt; });
  network_.post([this, id, word](Peer& peer, TimePoint now, Effects& fx) {
    peer.join(id, *key_, word, now, fx);
  });
  std::unique_lock lock(attempt->mutex);
  attempt->changed.wait(lock, stop, [&] { return attempt->ended.has_value(); });
  attempt_.with([](auto& current) { current.reset(); });
  if (attempt->ended) {
    auto ended = std::move(*attempt->ended);
    lock.unlock();
    if (ended.end == JoinAttempt::End::joined) ended.joined = joinedNow();
    return ended;
  }
  failed.error = {ErrorCode::interrupted, "interrupted"};
  return failed;
}

Joined Node::joinedNow() {
  Joined joined;
  joined.id = options_.id;
  joined.share = options_.share;
  // Small shares are told in full: their index is there within a moment.
  index_->wait(1s, [](const auto&, const share::Progress& progress) { return progress.ready; });
  const auto snapshot = index_->snapshot();
  joined.sharedFiles = snapshot->size();
  joined.sharedBytes = snapshot->totalBytes();
  joined.indexing = !index_->progress().ready;
  const auto place = network_.call([](Peer& peer, TimePoint, Effects&) {
    std::pair<Endpoint, PeerId> result;
    result.first = peer.tree()->self().endpoint;
    if (peer.tree()->parent()) result.second = peer.tree()->parent()->contact.id;
    return result;
  });
  if (place) std::tie(joined.endpoint, joined.linkedTo) = *place;
  return joined;
}

void Node::endAttempt(JoinAttempt attempt) {
  const auto waiting = attempt_.with([](auto& current) { return current; });
  if (!waiting) return;
  const std::lock_guard lock(waiting->mutex);
  if (waiting->ended) return;
  waiting->ended = std::move(attempt);
  waiting->changed.notify_all();
}

// On the loop's thread.
void Node::noticed(const Notice& notice) {
  using Kind = Notice::Kind;
  using End = JoinAttempt::End;
  JoinAttempt attempt;
  switch (notice.kind) {
    case Kind::joined:
      joined_ = true;
      attempt.end = End::joined;
      refreshPicture();
      return endAttempt(std::move(attempt));
    case Kind::wordRefused:
      announcedWord_.with([&](auto& word) { word = notice.text; });
      attempt.end = End::wordRefused;
      attempt.error = {ErrorCode::refused, "the metaserver refused the join word"};
      return endAttempt(std::move(attempt));
    case Kind::refused:
      attempt.end = End::idRefused;
      attempt.error = {ErrorCode::refused, notice.text};
      if (joined_) log::error("the metaserver refused this peer: {}", escaped(notice.text));
      return endAttempt(std::move(attempt));
    case Kind::metaserverLost:
      attempt.end = End::unavailable;
      attempt.error = {ErrorCode::unavailable, noMetaserverLine(options_.metaserver, false)};
      if (joined_ && metaserverThere_.exchange(false)) {
        log::warning("metaserver out of reach: {}; the network goes on", notice.text);
      }
      return endAttempt(std::move(attempt));
    case Kind::waiting:
      return log::info("{}", escaped(notice.text));
    case Kind::metaserverBack:
      metaserverThere_ = true;
      return log::info("the metaserver is back");
    case Kind::linkUp:
      // The first link is part of what is told of joining.
      if (joined_) log::info("linked to {}", notice.text);
      return refreshPicture();
    case Kind::linkDown:
      return log::info("the link to {} is gone", notice.text);
    case Kind::root:
      return log::debug("this peer is the root now");
    case Kind::warning:
      return log::warning("{}", notice.text);
  }
}

// --- the network ---

Result<wire::RegistryReply> Node::askMetaserver(wire::RegistryRequest request,
                                                std::stop_token stop) {
  struct Pending {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::optional<Result<wire::RegistryReply>> reply;
  };
  const auto pending = std::make_shared<Pending>();
  network_.post(
      [this, pending, request = std::move(request)](Peer&, TimePoint now, Effects& fx) mutable {
        network_.ask(
            std::move(request),
            [pending](Result<wire::RegistryReply> reply) {
              const std::lock_guard lock(pending->mutex);
              pending->reply = std::move(reply);
              pending->changed.notify_all();
            },
            now, fx);
      });
  std::unique_lock lock(pending->mutex);
  // A metaserver that falls silent is given up by the core after kSilence: then the answer is an
  // error.
  const bool answered = pending->changed.wait_for(lock, stop, 2 * limits::kSilence,
                                                  [&] { return pending->reply.has_value(); });
  if (answered) return *pending->reply;
  if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
  return Error{ErrorCode::unavailable, "the metaserver does not answer"};
}

Result<Node::Picture> Node::fetchPicture(std::stop_token stop) {
  Picture picture;
  JoinOrder after = kNoOrder;
  while (picture.entries.size() < limits::kMembers) {
    const auto reply = askMetaserver(wire::TopologyRequest{after}, stop);
    if (!reply) return reply.error();
    const auto& topology = std::get<wire::Topology>(*reply);
    for (const auto& entry : topology.entries) {
      if (entry.member.order <= after) {
        return Error{ErrorCode::protocol, "the metaserver repeats itself"};
      }
      after = entry.member.order;
      picture.entries.push_back(entry);
    }
    if (!topology.more || topology.entries.empty()) break;
  }
  picture.at = std::chrono::system_clock::now();
  lastPicture_.with([&](auto& last) { last = picture; });
  return picture;
}

// The metaserver's picture, or the last one that it gave.
Result<Node::Picture> Node::picture(std::stop_token stop) {
  auto fetched = fetchPicture(stop);
  if (fetched || fetched.error().code == ErrorCode::interrupted) return fetched;
  const auto last = lastPicture_.with([](auto& picture) { return picture; });
  if (last) return *last;
  return fetched.error();
}

// On the loop's thread: the first page at least, so that there is something to show should the
// metaserver go.
void Node::refreshPicture() {
  loop_.post([this] {
    network_.post([this](Peer&, TimePoint now, Effects& fx) {
      network_.ask(
          wire::TopologyRequest{kNoOrder},
          [this](Result<wire::RegistryReply> reply) {
            if (!reply) return;
            auto& topology = std::get<wire::Topology>(*reply);
            if (topology.more) return;  // of a large network only what the user asked for is kept
            lastPicture_.with([&](auto& last) {
              last = Picture{std::move(topology.entries), std::chrono::system_clock::now()};
            });
          },
          now, fx);
    });
  });
}

Result<command::Topology> Node::topology(std::stop_token stop) {
  if (!joined_) {
    // Before this peer has joined it asks as a guest.
    network_.post([](Peer& peer, TimePoint now, Effects& fx) { peer.connect(now, fx); });
    for (int tries = 0; tries < 50 && !stop.stop_requested(); ++tries) {
      const auto greeted = network_.call(
          [](Peer& peer, TimePoint, Effects&) { return peer.membership().greeted(); });
      if (!greeted) return greeted.error();
      if (*greeted) break;
      std::this_thread::sleep_for(20ms);
    }
  }
  const auto begun = std::chrono::system_clock::now();
  const auto now = picture(stop);
  if (!now) return now.error();
  command::Topology topology;
  for (const auto& entry : now->entries) {
    topology.peers.push_back({entry.member.id, entry.member.endpoint, entry.neighbours});
  }
  if (now->at < begun) topology.asOf = now->at;
  return topology;
}

Result<std::string> Node::topologyDot(std::stop_token stop) {
  const auto now = picture(stop);
  if (!now) return now.error();
  std::vector<topo::TopoLine> lines;
  for (const auto& entry : now->entries) lines.push_back({entry.member.id, entry.neighbours});
  return topo::toDot(lines);
}

Result<command::KillPlan> Node::whatIfKilled(const PeerId& id, std::stop_token stop) {
  const auto now = picture(stop);
  if (!now) return now.error();
  const auto maxLinks = network_.call([](Peer& peer, TimePoint, Effects&) {
    return peer.tree() != nullptr ? peer.tree()->maxLinks() : limits::kMaxLinks;
  });
  if (!maxLinks) return maxLinks.error();
  return topo::killPlan(treeOf(now->entries, *maxLinks), id);
}

std::optional<wire::Members> Node::membersNow(std::stop_token stop) {
  const auto reply = askMetaserver(wire::MembersRequest(), stop);
  if (!reply) return std::nullopt;
  return std::get<wire::Members>(*reply);
}

Result<void> Node::awaitMembers(std::uint64_t total, std::stop_token stop, const OnCount& onCount) {
  std::uint64_t told = 0;
  while (!stop.stop_requested()) {
    if (const auto members = membersNow(stop)) {
      if (members->count != told && onCount) onCount(members->count);
      told = members->count;
      if (told >= total) return {};
    }
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, 300ms, [] { return false; });
  }
  return Error{ErrorCode::interrupted, "interrupted"};
}

Result<std::vector<Link>> Node::links() {
  return network_.call([](Peer& peer, TimePoint, Effects&) {
    std::vector<Link> links;
    if (peer.tree() == nullptr) return links;
    for (const auto& neighbour : peer.tree()->neighbours()) {
      const auto& parent = peer.tree()->parent();
      const bool above = parent && parent->connection == neighbour.connection;
      links.push_back({neighbour.contact.id, above ? Role::parent : Role::child});
    }
    return links;
  });
}

Result<Status> Node::status() {
  auto status = network_.call([](Peer& peer, TimePoint, Effects&) {
    Status result;
    result.metaserverReachable = peer.membership().joined();
    result.members = peer.membership().members();
    result.openQueries = peer.openQueries();
    if (const auto* tree = peer.tree()) {
      result.endpoint = tree->self().endpoint;
      result.links = tree->links();
      result.maxLinks = tree->maxLinks();
    }
    return result;
  });
  if (!status) return status;
  status->id = options_.id;
  status->metaserver = options_.metaserver;
  status->share = options_.share;
  status->downloads = options_.downloads;
  if (status->metaserverReachable) {
    if (const auto members = membersNow({})) status->members = members->count;
  }
  const auto snapshot = index_->snapshot();
  const auto progress = index_->progress();
  status->sharedFiles = snapshot->size();
  status->sharedBytes = snapshot->totalBytes();
  status->filesToIndex = progress.ready ? 0 : progress.totalFiles - progress.hashedFiles;
  status->sentBytes = server_->status().bytes;
  status->receivedBytes = receivedBytes_;
  status->uptime = Clock::now() - started_;
  downloads_.with([&](auto& downloads) {
    for (const auto& [number, download] : downloads) status->transfers.push_back(download);
  });
  return status;
}

}  // namespace espalier::peer::shell
