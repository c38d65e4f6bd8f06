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
  RegistryCopy copy;

  void follow(Registry& registry, std::size_t page) {
    for (bool more = true; more;) {
      auto changes = registry.takeChanges(page);
      RC_ASSERT(changes.gone.size() + changes.rows.size() <= page);
      more = changes.more;
      copy.apply(std::move(changes));
    }
  }

  bool isAs(const Registry& registry) const {
    const auto& tree = registry.tree();
    for (const auto& [order, shared] : copy.rows()) {
      const MemberRow& row = *shared;
      const auto node = tree.find(row.contact.id);
      if (!node || copy.find(row.contact.id) != &row || copy.find(order) != &row) return false;
      const auto above = tree.parent(*node);
      if (row.above != (above ? tree.member(*above).order : kNoOrder)) return false;
    }
    return isSameInPagesOf(SIZE_MAX, registry) && isSameInPagesOf(1000, registry);
  }

  bool isSameInPagesOf(std::size_t bytes, const Registry& registry) const {
    JoinOrder after = kNoOrder;
    for (bool more = true; more;) {
      bool moreHere = false;
      const auto entries = registry.entries(after, bytes, more);
      if (copy.entries(after, bytes, moreHere) != entries || moreHere != more) return false;
      if (!entries.empty()) after = entries.back().member.order;
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
