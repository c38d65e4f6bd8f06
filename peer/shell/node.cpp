#include "peer/shell/node.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "peer/shell/instance_key.h"
#include "peer/shell/peer_state.h"

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

}  // namespace

Node::Node(net::EventLoop& loop, PeerOptions options)
    : loop_(loop),
      options_(std::move(options)),
      network_(loop, membershipOptions(options_),
               {[this](const Notice& notice) { noticed(notice); },
                [this](const MatchJob& job) { match(job); },
                [this](SearchUpdate& update) { searched(update); },
                [this](std::unique_ptr<net::ByteStream> stream, const wire::Hello& hello) {
                  if (hello.purpose == wire::Purpose::push) {
                    desk_.serve(std::move(stream), hello);
                  } else if (server_) {
                    server_->serve(std::move(stream), hello);
                  }
                },
                [this](PushJob& job) { desk_.carryOut(job); },
                [this](const PushId& id) { desk_.changed(id); }}),
      threads_(desk_.started()) {
  if (threads_) threads_ = startThread(worker_, [this](std::stop_token stop) { workOff(stop); });
  if (threads_) {
    threads_ = startThread(loopThread_, [this] {
      loop_.run();
      network_.end();
    });
  }
  announcedWord_.with([&](auto& word) { word = options_.joinWord; });
  limit(options_.rates.upload, options_.rates.download);
  network_.post([policy = options_.acceptPush](Peer& peer, TimePoint, Effects&) {
    peer.acceptPushes(policy);
  });
}

Node::~Node() {
  leave();
  worker_.request_stop();
  if (server_) server_->stop();
  desk_.stop();
}

void Node::leave() {
  if (!loopThread_.joinable()) return;
  network_.leave();
  // Its sessions use the dispatcher, which goes before this node does.
  if (control_) control_->stop();
  loopThread_.join();
}

// --- joining ---

std::string Node::joinWord() {
  return announcedWord_.with([](auto& word) { return word; });
}

// What follows from the id: where things lie, the share, the control socket. The state is claimed
// before anything in it is touched: another process may run on it.
Result<void> Node::prepare(const PeerId& id) {
  control_.reset();
  made_.clear();
  options_.chooseId(id);
  for (const auto& folder : {options_.share, options_.downloads}) {
    boost::system::error_code failed;
    if (fs::create_directories(folder, failed)) {
      made_.push_back(folder);
      log::info("made the folder {}", escaped(folder));
    }
    if (failed) return systemError("cannot make the folder " + escaped(folder), failed.value());
  }
  if (auto fit = checkShareFolder(options_.share, options_.state); !fit) return fit;
  boost::system::error_code ignored;
  if (!fs::exists(options_.state, ignored)) made_.push_back(options_.state);
  auto control = command::ControlServer::claim(options_.state);
  if (!control) {
    Error error = control.error();
    if (error.code == ErrorCode::io)
      error.message += "; --state DIR keeps a peer's state elsewhere";
    return error;
  }
  tidyIncoming(options_.state, options_.downloads);
  if (auto known = checkShareState(options_.state); !known) return known;
  auto key = loadInstanceKey(options_.state);
  if (!key) return key.error();
  key_ = *key;
  if (auto made = makeShare(); !made) return made;
  (*control)->onRestored([this, key = *key] { restoreState(key); });
  if (dispatcher_ != nullptr) {
    if (auto served = (*control)->serve(*dispatcher_); !served) return served;
  }
  control_ = std::move(*control);
  return {};
}

// On the control socket's thread, which ends before the share does.
void Node::restoreState(const InstanceKey& key) {
  if (const auto kept = restoreInstanceKey(options_.state, key); !kept) {
    log::error("{}", kept.error().message);
  }
  index_->saveAgain();
}

Result<void> Node::makeShare() {
  if (auto known = share::ShareIndex::checkState(options_.state); !known) return known;
  // Transfers that came before are served from the share that was.
  if (server_) server_->stop();
  share::ShareOptions share;
  share.root = options_.share;
  share.stateFolder = options_.state;
  share.shareHidden = options_.shareHidden;
  share.onNotice = [](const share::Notice& notice) { log::write(notice.level, notice.text); };
  Sharing sharing;
  sharing.index = std::make_unique<share::ShareIndex>(std::move(share));
  if (auto started = sharing.index->started(); !started) return started;
  sharing.source = std::make_unique<ShareSource>(*sharing.index, partialFiles_);
  sharing.server = std::make_unique<transfer::TransferServer>(
      *sharing.source, transfer::SlotOptions{}, &uploadRate_);
  const auto verified = [share = sharing.index.get()](const auto& path, const auto& root,
                                                      auto chunks) {
    share->learn(path, root, chunks);
  };
  downloader_ = std::make_unique<transfer::Downloader>(transfer::DownloaderOptions{
      .stateFolder = options_.state, .timeouts = {}, .rate = &downloadRate_, .verified = verified});
  transfer::PushReceiverOptions pushed;
  pushed.work = {options_.downloads, options_.state, verified};
  desk_.configure(std::move(pushed));
  return exchange(sharing);
}

// The loop and the worker use what is exchanged: it is done where both look.
Result<void> Node::exchange(Sharing& other) {
  const auto exchanged = network_.call([&](Peer&, TimePoint, Effects&) {
    const std::lock_guard lock(jobsMutex_);
    std::swap(index_, other.index);
    std::swap(source_, other.source);
    std::swap(server_, other.server);
  });
  if (!exchanged) return exchanged.error();
  return {};
}

// The id was refused: what was made for it goes, as if it had never been typed.
void Node::undoPrepare() {
  key_.reset();
  control_->stop();
  {
    Sharing gone;                 // saves what it knows, before its folder goes
    if (!exchange(gone)) return;  // this peer is ending
  }
  boost::system::error_code ignored;
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) {
    if (*folder == options_.state) {
      fs::remove_all(*folder, ignored);
    } else {
      fs::remove(*folder, ignored);  // unless somebody put something there
    }
  }
  control_.reset();
}

JoinAttempt Node::join(const PeerId& id, const std::string& word, std::stop_token stop) {
  JoinAttempt failed;
  if (!key_ || options_.id != id || !control_) {
    if (auto prepared = prepare(id); !prepared) {
      failed.error = prepared.error();
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
    // It may have found its place between two attempts.
    if (joined_) return endAttempt({.end = JoinAttempt::End::joined, .joined = {}, .error = {}});
    peer.join(id, *key_, word, now, fx);
  });
  std::unique_lock lock(attempt->mutex);
  attempt->changed.wait(lock, stop, [&] { return attempt->ended.has_value(); });
  attempt_.with([](auto& current) { current.reset(); });
  if (attempt->ended) {
    auto ended = std::move(*attempt->ended);
    lock.unlock();
    if (ended.end == JoinAttempt::End::joined) ended.joined = joinedNow();
    if (ended.end == JoinAttempt::End::idRefused) undoPrepare();
    return ended;
  }
  failed.error = {ErrorCode::interrupted, "interrupted"};
  return failed;
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
      refreshTopologySoon();
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
    case Kind::failed:
      attempt.end = End::failed;
      attempt.error = {ErrorCode::io, notice.text};
      return endAttempt(std::move(attempt));
    case Kind::mismatch:
      attempt.end = End::failed;
      attempt.error = {ErrorCode::protocol,
                       fmt::format("what answers at {} is no metaserver of this version: {}",
                                   options_.metaserver.text(), escaped(notice.text))};
      return endAttempt(std::move(attempt));
    case Kind::metaserverLost:
      attempt.end = End::unavailable;
      attempt.error = {ErrorCode::unavailable, whyNoMetaserver(notice.text)};
      if (joined_ && metaserverThere_.exchange(false)) {
        log::warning("metaserver out of reach: {}; the network goes on", escaped(notice.text));
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
      return refreshTopologySoon();
    case Kind::linkDown:
      log::info("the link to {} is gone", notice.text);
      return refreshTopologySoon();
    case Kind::root:
      return log::debug("this peer is the root now");
    case Kind::seenFrom:
      return compareSource(notice.text);
    case Kind::unreachable:
      return tellUnreachable(notice.text);
    case Kind::warning:
      return log::warning("{}", notice.text);
  }
}

}  // namespace espalier::peer::shell
