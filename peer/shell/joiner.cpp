#include "peer/shell/joiner.h"

#include <utility>
#include <variant>

#include "peer/shell/events.h"

namespace espalier::peer::shell {

Joiner::Joiner(Runtime& runtime, TopologyStore& store, NetworkTopology& topology,
               PeerOptions options, std::function<void()> stop)
    : runtime_(runtime),
      topology_(topology),
      options_(std::move(options)),
      environment_{runtime, store, topology, std::move(stop)},
      word_(options_.joinWord) {}

Result<command::Topology> Joiner::topology(std::stop_token stop) {
  return topology_.topology(std::move(stop));
}

std::string Joiner::joinWord() {
  return word_.with([](const auto& word) { return word; });
}

// Makes the peer of that id, unless an earlier attempt has.
Result<void> Joiner::prepare(const PeerId& id) {
  if (peer_ && peer_->id() == id) return {};
  peer_.reset();
  options_.chooseId(id);
  auto created = LocalPeer::create(environment_, options_);
  if (!created) return created.error();
  peer_ = std::move(*created);
  return {};
}

JoinAttempt Joiner::attempt(const std::string& word, const std::stop_token& stop) {
  EventBus::Subscription events(runtime_.events(), kindsOf<JoinEnded>());
  runtime_.network().post(
      [this, id = peer_->id(), key = peer_->key(), word](Peer& peer, TimePoint now, Effects& fx) {
        // The core may have found a slot between two attempts.
        if (runtime_.joined()) {
          return runtime_.events().publish(JoinEnded{JoinAttempt::End::joined, {}, {}});
        }
        peer.join(id, key, word, now, fx);
      });
  const auto event = events.next(stop);
  const auto* ended = event ? std::get_if<JoinEnded>(&*event) : nullptr;
  JoinAttempt attempt;
  if (ended == nullptr) {
    attempt.error = {ErrorCode::interrupted, "interrupted"};
    return attempt;
  }
  attempt.end = ended->end;
  attempt.error = ended->error;
  if (ended->end == JoinAttempt::End::wordRefused) {
    word_.with([&](auto& wanted) { wanted = ended->word; });
  }
  return attempt;
}

JoinAttempt Joiner::join(const PeerId& id, const std::string& word, std::stop_token stop) {
  if (auto prepared = prepare(id); !prepared) {
    JoinAttempt failed;
    failed.error = prepared.error();
    // Another id has another folder, unless the folder was given.
    const bool follows = options_.given.share.empty() && options_.given.state.empty();
    if (follows && failed.error.code == ErrorCode::refused) {
      failed.end = JoinAttempt::End::idRefused;
    }
    return failed;
  }
  auto ended = attempt(word, stop);
  if (ended.end == JoinAttempt::End::joined) {
    ended.joined = peer_->joined();
  } else if (ended.end == JoinAttempt::End::idRefused) {
    peer_->discard();
    peer_.reset();
  }
  return ended;
}

void Joiner::leave() {
  runtime_.leave();
  if (peer_) peer_->endCommands();
  runtime_.join();
}

}  // namespace espalier::peer::shell
