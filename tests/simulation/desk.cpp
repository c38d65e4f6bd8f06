#include "tests/simulation/desk.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "peer/core/push_chunks.h"
#include "tests/simulation/world_parts.h"

namespace espalier::simulation {

using namespace std::chrono_literals;
using peer::PushTrouble;

namespace {

constexpr auto kSync = 1ms;  // the time that it takes to sync a whole file

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

Desk::Way* Desk::wayOver(ConnectionId connection) {
  const auto over = takenOver_.find(connection);
  if (over == takenOver_.end()) return nullptr;
  return &taking_.at(over->second.first).ways[over->second.second];
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
  taking.root = file.root;
  taking.chunks = peer::pushChunks(job.files);
  giving_[job.id] = file.root;
  if (conduct().diskFails) {
    taking.over = true;
    giving_.erase(job.id);
    later(kSync, [this, id = job.id] {
      world_.stepPeer(self_, [&](auto& peer, TimePoint now, auto& fx) {
        peer.pushes()->failedHere(id, "the disk is full", now, fx);
      });
    });
  } else if (stored(file.root).whole()) {
    finished(job.id);
  }
}

void Desk::takeFrom(const peer::PushTakeFrom& job) {
  const auto found = taking_.find(job.id);
  if (found == taking_.end() || found->second.over) return;
  note(job.id,
       fmt::format("is to take {} of {} from {}", job.stripe, job.stripes, job.source.id.text()));
  auto& ways = found->second.ways;
  if (ways.size() != job.stripes) {
    for (auto& way : ways) hangUp(way);
    ways.clear();
    while (ways.size() < job.stripes) {
      const std::size_t stripe = ways.size();
      auto& way = ways.emplace_back();
      way.push = job.id;
      way.stripe = stripe;
    }
  }
  auto& way = ways[job.stripe];
  way.source = job.source;
  way.patience = job.patience;
  dial(way);
}

void Desk::drop(const PushId& id) {
  note(id, "drops it");
  const auto taking = taking_.find(id);
  if (taking != taking_.end()) {
    for (auto& way : taking->second.ways) hangUp(way);
    taking_.erase(taking);
  }
  if (const auto given = giving_.extract(id)) advanceAll(given.mapped());
}

void Desk::hangUp(Way& way) {
  if (takenOver_.erase(way.connection) > 0) world_.closeEnd(self_, way.connection);
}

void Desk::dial(Way& way) {
  hangUp(way);
  const Taking& taking = taking_.at(way.push);
  const auto& file = stored(taking.root);
  way.asked.clear();
  way.next = 0;
  for (std::uint32_t place = 0; place < taking.chunks; ++place) {
    if (file.holds(place)) continue;
    if (peer::stripeOf(taking.root, place, taking.ways.size()) == way.stripe) {
      way.asked.push_back(place);
    }
  }
  way.gave = false;
  if (way.asked.empty()) return;
  way.connection = world_.dialPush(self_, way.source->endpoint);
  takenOver_[way.connection] = {way.push, way.stripe};
}

void Desk::opened(ConnectionId connection) {
  Way* way = wayOver(connection);
  if (way == nullptr) return;
  way->heard = way->answered = world_.now();
  const FileRoot root = taking_.at(way->push).root;
  world_.transmit(self_, connection, AskForChunks{root, stored(root).list == nullptr, way->asked});
  watch(connection);
}

void Desk::watch(ConnectionId connection) {
  const Way* way = wayOver(connection);
  const TimePoint due = std::min(way->heard + limits::kPushSilence, way->answered + way->patience);
  later(due - world_.now(), [this, connection] {
    Way* watched = wayOver(connection);
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
  if (Way* way = wayOver(connection)) gaveUp(*way, PushTrouble::unreachable);
}

void Desk::gaveUp(Way& way, PushTrouble trouble) {
  if (trouble == PushTrouble::unreachable && way.gave) return dial(way);
  hangUp(way);
  const PeerId source = way.source->id;
  note(way.push, fmt::format("gives up {} ({})", source.text(), static_cast<int>(trouble)));
  way.source.reset();
  if (trouble == PushTrouble::lied) world_.witness_.lied(self_, way.push, source);
  world_.stepPeer(self_,
                  [&, id = way.push, stripe = way.stripe](auto& peer, TimePoint now, auto& fx) {
                    peer.pushes()->sourceFailed(id, stripe, source, trouble, now, fx);
                  });
}

void Desk::received(ConnectionId connection, const PushWord& word) {
  if (const auto* ask = std::get_if<AskForChunks>(&word)) return serve(connection, *ask);
  Way* way = wayOver(connection);
  if (way == nullptr) return;
  way->heard = world_.now();
  if (const auto* sign = std::get_if<SignOfLife>(&word)) {
    if (sign->bytes) way->answered = world_.now();
  }
  if (const auto* list = std::get_if<ListIs>(&word)) return take(*way, *list);
  if (const auto* chunk = std::get_if<ChunkIs>(&word)) return take(*way, *chunk);
  if (std::holds_alternative<NotPushedHere>(word)) return gaveUp(*way, PushTrouble::useless);
  if (std::holds_alternative<Busy>(word)) gaveUp(*way, PushTrouble::unreachable);
}

void Desk::take(Way& way, const ListIs& word) {
  const Taking& taking = taking_.at(way.push);
  if (word.list->size() != taking.chunks || rootOf(*word.list) != taking.root) {
    return gaveUp(way, PushTrouble::lied);
  }
  way.answered = world_.now();
  stored(taking.root).list = word.list;
  advanceAll(taking.root);
}

void Desk::take(Way& way, const ChunkIs& word) {
  const FileRoot root = taking_.at(way.push).root;
  auto& file = stored(root);
  if (file.list == nullptr || way.next == way.asked.size() || word.place != way.asked[way.next] ||
      hashOf(word.chunk) != (*file.list)[word.place]) {
    return gaveUp(way, PushTrouble::lied);
  }
  way.answered = world_.now();
  way.gave = true;
  file.add(word.place, word.chunk);
  if (++way.next == way.asked.size()) hangUp(way);
  const PushId id = way.push;
  advanceAll(root);
  if (file.whole()) finished(id);
}

void Desk::finished(const PushId& id) {
  Taking& taking = taking_.at(id);
  if (std::exchange(taking.over, true)) return;
  for (auto& way : taking.ways) hangUp(way);
  later(kSync, [this, id] {
    note(id, "has all");
    world_.witness_.finished(id, world_.now());
    world_.stepPeer(
        self_, [&](auto& peer, TimePoint now, auto& fx) { peer.pushes()->completed(id, now, fx); });
  });
}

// --- giving ---

void Desk::serve(ConnectionId connection, const AskForChunks& ask) {
  if (servings_.size() >= limits::kPushSlots) return world_.transmit(self_, connection, Busy{});
  Serving& serving = servings_[connection];
  serving = {ask, 0, false};
  showLife(connection);
  advance(connection, serving);
}

// Sends the list, and queues the next chunk if this peer has it.
void Desk::advance(ConnectionId connection, Serving& serving) {
  if (serving.inTurn) return;
  auto& asked = serving.asked;
  if (!gives(asked.root)) {
    return world_.transmit(self_, connection, NotPushedHere{});
  }
  const auto& file = stored(asked.root);
  if (file.list == nullptr || conduct().hoards) return;
  if (asked.list) {
    asked.list = false;
    auto list = file.list;
    if (conduct().spoils && world_.below(4) == 0) {
      auto other = *list;
      other.front() ^= 1;
      list = std::make_shared<const std::vector<ChunkHash>>(std::move(other));
    }
    world_.transmit(self_, connection, ListIs{std::move(list)});
  }
  if (serving.next == asked.places.size() || !file.holds(asked.places[serving.next])) return;
  serving.inTurn = true;
  turns_.push_back(connection);
  if (!sending_) sendNext();
}

void Desk::advanceAll(const FileRoot& root) {
  for (auto& [connection, serving] : servings_) {
    if (serving.asked.root == root) advance(connection, serving);
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

// The upload of a host carries one chunk at a time.
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
      const std::uint32_t place = serving.asked.places[serving.next++];
      Chunk chunk = *stored(serving.asked.root).chunks[place];
      if (conduct().spoils && world_.below(4) == 0) chunk ^= 1;
      world_.transmit(self_, connection, ChunkIs{place, chunk});
      serving.inTurn = false;
      advance(connection, serving);
    }
    sendNext();
  });
}

}  // namespace espalier::simulation
