// Two peers that write to each other in a PrivateWorld.
#pragma once

#include <doctest/doctest.h>

#include "tests/unit/private_world.h"

namespace espalier::test {

// Two peers: instance 1 is s1, instance 2 is s2.
struct Two {
  explicit Two(std::uint64_t seed = 1) : world(seed) {
    a = &world.add(1, "s1");
    b = &world.add(2, "s2");
  }
  PrivateWorld world;
  PrivateWorld::Node* a;
  PrivateWorld::Node* b;

  peer::PrivateUpdate::Kind kindOf(std::uint64_t request) const {
    const auto* update = world.update(*a, request);
    REQUIRE(update != nullptr);
    return update->kind;
  }
  std::string textOf(std::uint64_t request) const {
    const auto* update = world.update(*a, request);
    REQUIRE(update != nullptr);
    return update->text.empty() ? update->error.message : update->text;
  }
};

}  // namespace espalier::test
