// A copy that takes the registry's changes equals the registry.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/unit/registry_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;

namespace {

struct Copy {
  std::map<JoinOrder, MemberRow> rows;

  void follow(Registry& registry, std::size_t page) {
    for (bool more = true; more;) {
      auto changes = registry.takeChanges(page);
      RC_ASSERT(changes.gone.size() + changes.rows.size() <= page);
      if (changes.fromScratch) rows.clear();
      for (const auto order : changes.gone) rows.erase(order);
      for (auto& row : changes.rows) rows.insert_or_assign(row.contact.order, row);
      more = changes.more;
    }
  }

  bool isAs(const Registry& registry) const {
    const auto& tree = registry.tree();
    bool more = false;
    const auto entries = registry.entries(kNoOrder, SIZE_MAX, more);
    if (rows.size() != entries.size()) return false;
    for (const auto& entry : entries) {
      const auto row = rows.find(entry.member.order);
      if (row == rows.end() || row->second.contact != entry.member) return false;
      const auto above = tree.parent(*tree.find(entry.member.id));
      if (row->second.above != (above ? tree.member(*above).order : kNoOrder)) return false;
      for (const auto& neighbour : entry.neighbours) {
        const auto& all = row->second.neighbours;
        if (std::find(all.begin(), all.end(), neighbour) == all.end()) return false;
      }
    }
    return true;
  }
};

}  // namespace

TEST_CASE("whatever happens, a copy in pages of changes ends as the registry is") {
  rc::check([](const std::vector<std::uint16_t>& moves, std::uint8_t page) {
    Metaserver metaserver;
    Copy copy;
    std::map<int, std::uint64_t> orders;  // of all members so far
    std::set<int> in;
    for (const unsigned move : moves) {
      const int who = 1 + static_cast<int>(move >> 4) % 20;
      const int other = 1 + static_cast<int>(move >> 9) % 20;
      if (!in.contains(who)) {
        wire::Join join;
        if (move % 2 == 0 && orders.contains(who)) {  // it comes back with its order
          join.network = metaserver.registry.network();
          join.order = JoinOrder{orders[who]};
          join.neighbours = {peer(other)};
          join.parent = peer(other);
        }
        orders[who] = number(metaserver.admit(who, join).self.order);
        in.insert(who);
        continue;
      }
      switch (move % 5) {
        case 0:
          metaserver.say(who, wire::Quit());
          in.erase(who);
          break;
        case 1:
          metaserver.registry.closed(metaserver.connection(who), metaserver.now, metaserver.fx);
          in.erase(who);
          break;
        case 2:
          metaserver.say(who, wire::Links{peer(other), {peer(other)}});
          break;
        case 3:
          metaserver.say(who, wire::Seek{peer(other), peer(other)});
          break;
        default:
          copy.follow(metaserver.registry, 1 + page % 7u);
          RC_ASSERT(copy.isAs(metaserver.registry));
      }
    }
    copy.follow(metaserver.registry, 1 + page % 7u);
    RC_ASSERT(copy.isAs(metaserver.registry));
  });
}
