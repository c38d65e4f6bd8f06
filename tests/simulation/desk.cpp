#include "tests/simulation/desk.h"

#include <algorithm>

#include "common/base/limits.h"
#include "tests/simulation/world_parts.h"

namespace espalier::simulation {

using namespace std::chrono_literals;
using peer::PushTrouble;

namespace {

constexpr auto kSync = 1ms;  // until a whole file is on the disk

}  // namespace

Conduct& Desk::conduct() const {
  return world_.node(self_).conduct;
}

Stored& Desk::stored(const FileRoot& root) const {
  return world_.node(self_).disk[root];
}

bool Desk::gives(const FileRoot& root) const {
  return std::any_of(giving_.begin(), giving_.end(),
                     [&](const auto& each) { return each.second == root; });
}

Desk::Taking* Desk::takingOver(ConnectionId connection) {
  const auto id = takenOver_.find(connection);
  if (id == takenOver_.end()) return nullptr;
  return &taking_.at(id->second);
}

void Desk::later(Duration delay, std::function<void()> action) {
  world_.later(world_.node(self_), world_.now() + delay, std::move(action));
}

void Desk::note(const PushId& id, const std::string& what) const {
  if (!world_.trace_) return;
  world_.log(fmt::format("{} {} (push {})", world_.id(self_), what, toHex(id.view()).substr(0, 4)));
}

void Desk::carryOut(const peer::PushJob& job) {
  if (const auto* wanted = std::get_if<peer::PushReceive>(&job)) return receive(*wanted);
  if (const auto* from = std::get_if<peer::PushTakeFrom>(&job)) return takeFrom(*from);
  drop(std::get<peer::PushDrop>(job).id);
}

// --- taking ---

void Desk::receive(const peer::PushReceive& job) {
  const auto& file = job.files.front();
  Taking& taking = taking_[job.id];
  taking.id = job.id;
  taking.root = file.root;
  taking.chunks = peer::pushChunks(job.files);
  giving_[job.id] = file.root;
  if (conduct().diskFails) {
    taking.over = true;
    giving_.erase(job.id);
    later(kSync, [this, id = job.id] {
      world_.stepPeer(self_, [&](auto& peer, TimePoint now, auto& fx) {
        peer.pushFailed(id, "the disk is full", now, fx);
      });
    });
  } else if (stored(file.root).whole()) {
    finished(taking);
  }
}

void Desk::takeFrom(const peer::PushTakeFrom& job) {
  const auto taking = taking_.find(job.id);
  if (taking == taking_.end() || taking->second.over) return;
  note(job.id, "is to take from " + job.source.id.text());
  taking->second.source = job.source;
  taking->second.patience = job.patience;
  dial(taking->second);
}

void Desk::drop(const PushId& id) {
  note(id, "drops it");
  const auto taking = taking_.find(id);
  if (taking != taking_.end()) {
    hangUp(taking->second);
    taking_.erase(taking);
  }
  if (const auto given = giving_.extract(id)) advanceAll(given.mapped());
}

void Desk::hangUp(Taking& taking) {
  if (takenOver_.erase(taking.connection) > 0) world_.closeEnd(self_, taking.connection);
}

void Desk::dial(Taking& taking) {
  hangUp(taking);
  taking.gave = false;
  taking.connection = world_.dialPush(self_, taking.source->endpoint);
  takenOver_[taking.connection] = taking.id;
}

void Desk::opened(ConnectionId connection) {
  Taking* taking = takingOver(connection);
  if (taking == nullptr) return;
  taking->heard = taking->answered = world_.now();
  const auto& file = stored(taking->root);
  world_.transmit(self_, connection,
                  AskForChunks{taking->root, file.list == nullptr, file.chunks.size()});
  watch(connection);
}

void Desk::watch(ConnectionId connection) {
  const Taking* taking = takingOver(connection);
  const TimePoint due =
      std::min(taking->heard + limits::kPushSilence, taking->answered + taking->patience);
  later(due - world_.now(), [this, connection] {
    Taking* watched = takingOver(connection);
    if (watched == nullptr) return;
    const TimePoint now = world_.now();
    if (now >= watched->heard + limits::kPushSilence) {
      gaveUp(*watched, PushTrouble::unreachable);
    } else if (now >= watched->answered + watched->patience) {
      gaveUp(*watched, PushTrouble::useless);
    } else {
      watch(connection);
    }
  });
}

void Desk::ended(ConnectionId connection) {
  servings_.erase(connection);
  if (Taking* taking = takingOver(connection)) gaveUp(*taking, PushTrouble::unreachable);
}

void Desk::gaveUp(Taking& taking, PushTrouble trouble) {
  if (trouble == PushTrouble::unreachable && taking.gave) return dial(taking);
  hangUp(taking);
  const PeerId source = taking.source->id;
  note(taking.id, fmt::format("gives up {} ({})", source.text(), static_cast<int>(trouble)));
  taking.source.reset();
  if (trouble == PushTrouble::lied) world_.witness_.lied(self_, taking.id, source);
  world_.stepPeer(self_, [&, id = taking.id](auto& peer, TimePoint now, auto& fx) {
    peer.pushSourceFailed(id, source, trouble, now, fx);
  });
}

void Desk::received(ConnectionId connection, const PushWord& word) {
  if (const auto* ask = std::get_if<AskForChunks>(&word)) return serve(connection, *ask);
  Taking* taking = takingOver(connection);
  if (taking == nullptr) return;
  taking->heard = world_.now();
  if (const auto* sign = std::get_if<SignOfLife>(&word)) {
    if (sign->bytes) taking->answered = world_.now();
  }
  if (const auto* list = std::get_if<ListIs>(&word)) return take(*taking, *list);
  if (const auto* chunk = std::get_if<ChunkIs>(&word)) return take(*taking, *chunk);
  if (std::holds_alternative<NotPushedHere>(word)) return gaveUp(*taking, PushTrouble::useless);
  if (std::holds_alternative<Busy>(word)) gaveUp(*taking, PushTrouble::unreachable);
}

void Desk::take(Taking& taking, const ListIs& word) {
  if (word.list->size() != taking.chunks || rootOf(*word.list) != taking.root) {
    return gaveUp(taking, PushTrouble::lied);
  }
  taking.answered = world_.now();
  stored(taking.root).list = word.list;
  advanceAll(taking.root);
}

void Desk::take(Taking& taking, const ChunkIs& word) {
  auto& file = stored(taking.root);
  if (file.list == nullptr || file.whole() || word.place != file.chunks.size() ||
      hashOf(word.chunk) != (*file.list)[word.place]) {
    return gaveUp(taking, PushTrouble::lied);
  }
  taking.answered = world_.now();
  taking.gave = true;
  file.chunks.push_back(word.chunk);
  advanceAll(taking.root);
  if (file.whole()) finished(taking);
}

void Desk::finished(Taking& taking) {
  taking.over = true;
  hangUp(taking);
  later(kSync, [this, id = taking.id] {
    note(id, "has all");
    world_.witness_.finished(id, world_.now());
    world_.stepPeer(self_,
                    [&](auto& peer, TimePoint now, auto& fx) { peer.pushCompleted(id, now, fx); });
  });
}

// --- giving ---

void Desk::serve(ConnectionId connection, const AskForChunks& ask) {
  if (servings_.size() >= limits::kPushSlots) return world_.transmit(self_, connection, Busy{});
  Serving& serving = servings_[connection];
  serving = {ask.root, ask.list, ask.first, false};
  showLife(connection);
  advance(connection, serving);
}

// What is there is sent, or waits for its turn.
void Desk::advance(ConnectionId connection, Serving& serving) {
  if (serving.inTurn) return;
  if (!gives(serving.root)) {
    return world_.transmit(self_, connection, NotPushedHere{});
  }
  const auto& file = stored(serving.root);
  if (file.list == nullptr || conduct().hoards) return;
  if (serving.list) {
    serving.list = false;
    auto list = file.list;
    if (conduct().lies && world_.below(4) == 0) {
      auto other = *list;
      other.front() ^= 1;
      list = std::make_shared<const std::vector<ChunkHash>>(std::move(other));
    }
    world_.transmit(self_, connection, ListIs{std::move(list)});
  }
  if (serving.next >= file.chunks.size()) return;
  serving.inTurn = true;
  turns_.push_back(connection);
  if (!sending_) sendNext();
}

void Desk::advanceAll(const FileRoot& root) {
  for (auto& [connection, serving] : servings_) {
    if (serving.root == root) advance(connection, serving);
  }
}

void Desk::showLife(ConnectionId connection) {
  later(limits::kPushWaiting, [this, connection] {
    const auto serving = servings_.find(connection);
    if (serving == servings_.end()) return;
    world_.transmit(self_, connection, SignOfLife{serving->second.inTurn});
    showLife(connection);
  });
}

// The line out carries one chunk at a time.
void Desk::sendNext() {
  while (!turns_.empty() && !servings_.contains(turns_.front())) turns_.pop_front();
  sending_ = !turns_.empty();
  if (!sending_) return;
  const ConnectionId connection = turns_.front();
  turns_.pop_front();
  later(world_.chunkTime(), [this, connection] {
    const auto found = servings_.find(connection);
    if (found != servings_.end()) {
      Serving& serving = found->second;
      Chunk chunk = stored(serving.root).chunks[serving.next];
      if (conduct().lies && world_.below(4) == 0) chunk ^= 1;
      world_.transmit(self_, connection, ChunkIs{serving.next++, chunk});
      serving.inTurn = false;
      advance(connection, serving);
    }
    sendNext();
  });
}

}  // namespace espalier::simulation
