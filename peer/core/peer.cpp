#include "peer/core/peer.h"

namespace espalier::peer {
namespace {

// A message of the searches, if it is one; else nothing.
std::optional<wire::SearchMessage> searchMessage(const wire::LinkMessage& message) {
  return std::visit(
      [](const auto& m) -> std::optional<wire::SearchMessage> {
        if constexpr (std::is_constructible_v<wire::SearchMessage, decltype(m)>) {
          return wire::SearchMessage(m);
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
  const auto search = searchMessage(message);
  if (!search || !searches_ || !tree()->owns(connection)) return;
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
  afterStep(now, fx);
}

TimePoint Peer::deadline() const {
  return searches_ ? std::min(membership_.deadline(), searches_->deadline())
                   : membership_.deadline();
}

void Peer::afterStep(TimePoint now, Effects& fx) {
  if (!tree()) return;
  const auto& self = tree()->self();
  if (!searches_) searches_.emplace(self.id, self.endpoint, self.order, random_);
  const auto changes = membership_.takeLinkChanges();
  SearchEffects searched;
  for (const auto& link : changes.down) searches_->linkDown(link.connection, now, searched);
  for (const auto& link : changes.up) {
    // It may have come and gone within one step.
    if (!tree()->owns(link.connection)) continue;
    searches_->linkUp(link.connection, link.contact.id, link.contact.order, now, searched);
  }
  append(searched, fx);
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
