#include "peer/core/peer.h"

namespace espalier::peer {
namespace {

// A message of the searches, or of pushes, if it is one; else nothing.
template <typename Part>
std::optional<Part> partOf(const wire::LinkMessage& message) {
  return std::visit(
      [](const auto& m) -> std::optional<Part> {
        if constexpr (std::is_constructible_v<Part, decltype(m)>) {
          return Part(m);
        } else {
          return std::nullopt;
        }
      },
      message);
}

}  // namespace

void Peer::append(SearchEffects& from, Effects& to) {
  for (auto& [link, message] : from.sends) {
    std::visit(
        [&, connection = link](auto& m) {
          to.sends.push_back({connection, wire::LinkMessage(std::move(m))});
        },
        message);
  }
  for (auto& job : from.jobs) to.jobs.push_back(std::move(job));
  for (auto& update : from.updates) to.searchUpdates.push_back(std::move(update));
  for (auto& notice : from.notices) {
    to.notices.push_back({Notice::Kind::warning, std::move(notice)});
  }
}

void Peer::append(PushEffects& from, Effects& to) {
  for (auto& [link, message] : from.sends) {
    std::visit(
        [&, connection = link](auto& m) {
          to.sends.push_back({connection, wire::LinkMessage(std::move(m))});
        },
        message);
  }
  for (auto& job : from.jobs) to.pushJobs.push_back(std::move(job));
  to.pushChanges.merge(from.changed);
  for (auto& notice : from.notices) {
    to.notices.push_back({Notice::Kind::warning, std::move(notice)});
  }
}

void Peer::connect(TimePoint now, Effects& fx) {
  membership_.connect(now, fx);
  afterStep(now, fx);
}

void Peer::join(const PeerId& id, const InstanceKey& key, const std::string& word, TimePoint now,
                Effects& fx) {
  membership_.join(id, key, word, now, fx);
  afterStep(now, fx);
}

bool Peer::ask(wire::RegistryRequest request, TimePoint now, Effects& fx) {
  return membership_.ask(std::move(request), now, fx);
}

void Peer::leave(TimePoint now, Effects& fx) {
  membership_.leave(now, fx);
  afterStep(now, fx);
}

Result<QueryId> Peer::find(PatternKind kind, std::string_view text,
                           std::optional<wire::Members> members, TimePoint now, Effects& fx) {
  if (!searches_) return Error{ErrorCode::unavailable, "this peer is not in the network yet"};
  if (!members) members = wire::Members{membership_.members(), kNoOrder};
  SearchEffects searched;
  auto id = searches_->ask(kind, text, members->count, members->newest, now, searched);
  append(searched, fx);
  return id;
}

std::optional<SearchResult> Peer::cancel(const QueryId& id) {
  return searches_ ? searches_->cancel(id) : std::nullopt;
}

Result<PushId> Peer::push(std::vector<wire::PushFile> files, std::vector<PeerId> to, TimePoint now,
                          Effects& fx) {
  if (!pushes_) return Error{ErrorCode::unavailable, "this peer is not in the network yet"};
  PushEffects pushed;
  auto id = pushes_->start(std::move(files), std::move(to), now, pushed);
  append(pushed, fx);
  return id;
}

void Peer::finishPush(const PushId& id, wire::PushEnd end, TimePoint now, Effects& fx) {
  if (!pushes_) return;
  PushEffects pushed;
  pushes_->finish(id, end, now, pushed);
  append(pushed, fx);
}

void Peer::pushSourceFailed(const PushId& id, std::size_t stripe, const PeerId& source,
                            PushTrouble trouble, TimePoint now, Effects& fx) {
  if (!pushes_) return;
  PushEffects pushed;
  pushes_->sourceFailed(id, stripe, source, trouble, now, pushed);
  append(pushed, fx);
}

void Peer::pushCompleted(const PushId& id, TimePoint now, Effects& fx) {
  if (!pushes_) return;
  PushEffects pushed;
  pushes_->completed(id, now, pushed);
  append(pushed, fx);
}

void Peer::pushFailed(const PushId& id, std::string reason, TimePoint now, Effects& fx) {
  if (!pushes_) return;
  PushEffects pushed;
  pushes_->failedHere(id, std::move(reason), now, pushed);
  append(pushed, fx);
}

void Peer::opened(ConnectionId connection, const std::string& localHost, TimePoint now,
                  Effects& fx) {
  membership_.opened(connection, localHost, now, fx);
  afterStep(now, fx);
}

void Peer::failed(ConnectionId connection, const Error& error, TimePoint now, Effects& fx) {
  membership_.failed(connection, error, now, fx);
  afterStep(now, fx);
}

void Peer::closed(ConnectionId connection, TimePoint now, Effects& fx) {
  membership_.closed(connection, now, fx);
  afterStep(now, fx);
}

void Peer::listening(const Endpoint& at, TimePoint now, Effects& fx) {
  membership_.listening(at, now, fx);
  afterStep(now, fx);
}

void Peer::listenFailed(const Error& error, TimePoint now, Effects& fx) {
  membership_.listenFailed(error, now, fx);
}

void Peer::received(ConnectionId connection, const wire::RegistryReply& reply, TimePoint now,
                    Effects& fx) {
  membership_.received(connection, reply, now, fx);
  afterStep(now, fx);
}

void Peer::received(ConnectionId connection, const wire::LinkMessage& message, TimePoint now,
                    Effects& fx) {
  membership_.received(connection, message, now, fx);
  afterStep(now, fx);
  if (!searches_ || !tree()->owns(connection)) return;
  if (const auto push = partOf<wire::PushMessage>(message)) {
    PushEffects pushed;
    pushes_->received(connection, *push, now, pushed);
    append(pushed, fx);
    return;
  }
  const auto search = partOf<wire::SearchMessage>(message);
  if (!search) return;
  SearchEffects searched;
  searches_->received(connection, *search, now, searched);
  append(searched, fx);
}

void Peer::congested(ConnectionId connection) {
  if (searches_) searches_->congested(connection);
}

void Peer::drained(ConnectionId connection) {
  if (searches_) searches_->drained(connection);
}

void Peer::matched(const QueryId& id, std::vector<LocalHit> hits, std::uint64_t more,
                   bool stillIndexing, TimePoint now, Effects& fx) {
  if (!searches_) return;
  SearchEffects searched;
  searches_->matched(id, std::move(hits), more, stillIndexing, now, searched);
  append(searched, fx);
}

void Peer::tick(TimePoint now, Effects& fx) {
  if (now >= membership_.deadline()) membership_.tick(now, fx);
  if (searches_ && now >= searches_->deadline()) {
    SearchEffects searched;
    searches_->tick(now, searched);
    append(searched, fx);
  }
  if (pushes_ && now >= pushes_->deadline()) {
    PushEffects pushed;
    pushes_->tick(now, pushed);
    append(pushed, fx);
  }
  afterStep(now, fx);
}

TimePoint Peer::deadline() const {
  return searches_ ? std::min({membership_.deadline(), searches_->deadline(), pushes_->deadline()})
                   : membership_.deadline();
}

void Peer::afterStep(TimePoint now, Effects& fx) {
  if (!tree()) return;
  const auto& self = tree()->self();
  if (!searches_) {
    searches_.emplace(self.id, self.endpoint, self.order, random_);
    pushes_.emplace(self, policy_, random_);
  } else if (self_ != self) {
    searches_->setSelf(self.endpoint, self.order);
    pushes_->setSelf(self);
  }
  self_ = self;
  const auto changes = membership_.takeLinkChanges();
  SearchEffects searched;
  PushEffects pushed;
  for (const auto& link : changes.down) {
    searches_->linkDown(link.connection, now, searched);
    pushes_->linkDown(link.connection, now, pushed);
  }
  for (const auto& link : changes.up) {
    // It may have come and gone within one step.
    if (!tree()->owns(link.connection)) continue;
    searches_->linkUp(link.connection, link.contact.id, link.contact.order, now, searched);
    pushes_->linkUp(link.connection, link.contact, now, pushed);
  }
  append(searched, fx);
  append(pushed, fx);
  if (tree()->parent()) {
    const auto all = tree()->members();
    const auto here = tree()->membersBelow();
    searches_->setPeersBehind(tree()->parent()->connection, all > here ? all - here : 0);
  }
  for (const auto& child : tree()->children()) {
    searches_->setPeersBehind(child.connection, child.below);
  }
}

}  // namespace espalier::peer
